package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPlaylist and maxSegment bound answers, in bytes; one minute of 100 Mbit/s is 750 MB.
	maxPlaylist = 1 << 20
	maxSegment  = 1 << 30
	// startBehind is how many segments before the end a player begins (RFC 8216 §6.3.3).
	startBehind = 3
)

// mediaPlaylist is what a player needs of a playlist (RFC 8216 §4.3).
type mediaPlaylist struct {
	target   time.Duration
	sequence int
	segments []segment
	ended    bool
	// variant is the first media playlist of a multivariant one.
	variant string
}

type segment struct {
	uri      string
	duration time.Duration
}

// parsePlaylist reads a playlist; tags that say nothing to this player are skipped.
func parsePlaylist(text string) (*mediaPlaylist, error) {
	l := &mediaPlaylist{}
	var duration time.Duration
	variant := false
	if !strings.HasPrefix(text, "#EXTM3U") {
		return nil, errors.New("what came is not a playlist")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		tag, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case tag == "#EXT-X-TARGETDURATION":
			l.target, err = seconds(value)
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			l.sequence, err = strconv.Atoi(value)
		case tag == "#EXTINF":
			value, _, _ = strings.Cut(value, ",")
			duration, err = seconds(value)
		case tag == "#EXT-X-STREAM-INF":
			variant = true
		case tag == "#EXT-X-ENDLIST":
			l.ended = true
		case line == "" || line[0] == '#':
		case variant:
			l.variant = line
			return l, nil
		default:
			l.segments = append(l.segments, segment{line, duration})
		}
		if err != nil {
			return nil, fmt.Errorf("playlist: %s: %w", tag, err)
		}
	}
	if l.target <= 0 {
		return nil, errors.New("playlist without target duration")
	}
	return l, nil
}

func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(text, 64)
	if err == nil && !(s >= 0 && s < 1e6) {
		err = errors.New("out of range")
	}
	return time.Duration(s * float64(time.Second)), err
}

// hlsPlayer is one player's session.
type hlsPlayer struct {
	*player
	client *http.Client
	list   *url.URL
	check  *checker // nil for players that only count
	parser tsParser
	next   int // sequence number of the next segment, 0 before the first one
}

// playlist plays HLS: it loads the playlist as often as the standard wants, and each segment once.
func (p *player) playlist(ctx context.Context, n *network) error {
	transport := &http.Transport{TLSClientConfig: n.client(p.url.Hostname()), DisableCompression: true}
	o := &opener{network: n, bytes: &p.bytes}
	transport.DialContext = o.dial
	defer transport.CloseIdleConnections()
	h := &hlsPlayer{player: p, client: &http.Client{Transport: transport, Timeout: maxAge}, list: p.url}
	if p.sample != nil {
		h.check = &checker{out: p.sample, dialed: time.Now(), video: true}
		h.parser.fault = func() { p.sample.fault(&p.sample.Unreadable) }
		h.parser.unit = func(random bool, b []byte) { h.check.sample(time.Now(), random, b) }
	}
	p.playedSince.Store(0)
	p.media.Store(0)
	for {
		loaded := time.Now()
		wait, err := h.round(ctx)
		if err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(loaded.Add(wait))); err != nil {
			return err
		}
	}
}

// round loads the playlist and what is new in it, and says when to do it again (RFC 8216 §6.3.4).
func (h *hlsPlayer) round(ctx context.Context) (time.Duration, error) {
	var text bytes.Buffer
	if err := h.get(ctx, h.list, &text, maxPlaylist); err != nil {
		return 0, err
	}
	l, err := parsePlaylist(text.String())
	if err != nil {
		return 0, err
	}
	if l.variant != "" {
		h.list, err = h.list.Parse(l.variant)
		return 0, err
	}
	h.joined.Store(true)
	first := h.next == 0
	if first {
		h.next = l.sequence + max(0, len(l.segments)-startBehind)
	}
	fresh := false
	for i, s := range l.segments {
		if l.sequence+i < h.next {
			continue
		}
		if err := h.load(ctx, s, first && i < len(l.segments)-1); err != nil {
			return 0, err
		}
		h.next, fresh = l.sequence+i+1, true
	}
	switch {
	case l.ended:
		return 0, io.EOF
	case fresh:
		return l.target, nil
	}
	return l.target / 2, nil
}

// load gets a segment. That of a history was there long ago, so that its delays say nothing.
func (h *hlsPlayer) load(ctx context.Context, s segment, history bool) error {
	u, err := h.list.Parse(s.uri)
	if err != nil {
		return fmt.Errorf("segment: %w", err)
	}
	if h.check == nil {
		err = h.get(ctx, u, io.Discard, maxSegment)
	} else {
		var content bytes.Buffer
		if err = h.get(ctx, u, &content, maxSegment); err == nil {
			h.check.history = history
			h.parser.segment(content.Bytes())
		}
	}
	if err == nil {
		h.playedSince.CompareAndSwap(0, time.Now().UnixNano())
		h.media.Add(int64(s.duration))
	}
	return err
}

func (h *hlsPlayer) get(ctx context.Context, u *url.URL, to io.Writer, limit int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the server answered %s", u.Path, response.Status)
	}
	n, err := io.Copy(to, io.LimitReader(response.Body, limit))
	if err == nil && n == limit {
		err = fmt.Errorf("%s: more than %d bytes", u.Path, limit)
	}
	return err
}

// isHLS says whether a URL is one of a playlist.
func isHLS(u *url.URL) bool { return strings.HasSuffix(u.Path, ".m3u8") }

// stalled says whether a player of segments has played all it got: its clock runs from its first segment on.
func (p *player) stalled(now time.Time) bool {
	since := p.playedSince.Load()
	return since == 0 || now.UnixNano()-since > p.media.Load()
}
