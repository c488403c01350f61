package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// jump is by how much media may be elsewhere than the playlist says before times are set anew.
const jump = 500 * time.Millisecond

// voice is one rendition of a clip.
type voice struct {
	id    string
	items []item
	init  initOf
	// initName is the file of init.
	initName string
}

// clip is a file that is made of segments.
type clip struct {
	at     storedAt
	voices []voice
	head   []byte
	// size is that of the whole file, -1 if it is not known.
	size int64
	// shift is the media time that the beginning has.
	shift    time.Duration
	known    bool
	sequence uint32
}

// serveClipFile serves a clip as one file: a fragmented MP4 with a picture and a sound.
func (r *Recorder) serveClipFile(w http.ResponseWriter, req *http.Request, at storedAt, from, to, rendition string) error {
	select {
	case r.clips <- struct{}{}:
		defer func() { <-r.clips }()
	default:
		w.Header().Set("Retry-After", "10")
		return badRequest{http.StatusServiceUnavailable, errors.New("too many clips are being made, try again")}
	}
	s, about, err := at.span(req.Context(), from, to)
	if err != nil {
		return err
	}
	ids, err := choose(about.Renditions, rendition)
	if err != nil {
		return err
	}
	c := clip{at: at}
	if err := c.open(req.Context(), ids, s); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp4")
	h.Set("Cache-Control", cacheNever)
	h.Set("Content-Disposition", `attachment; filename="`+fileName(about)+`"`)
	if c.size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(c.size, 10))
	}
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodHead {
		return nil
	}
	if err := c.write(req.Context(), w); err != nil {
		r.log.Debug("clip not sent to its end", "err", err)
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
	return nil
}

// fileName is what a clip is called where it is saved.
func fileName(about Recording) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/:*?<>|%`, r) {
			return '_'
		}
		return r
	}, path.Base(about.Stream))
	return name + "-" + about.Started.UTC().Format(startLayout) + initSuffix
}

// choose returns the renditions of a clip: the best video, or the one that is named, and the first
// sound.
func choose(all []Rendition, named string) (ids []string, err error) {
	lead, _ := leading(all)
	if named != "" {
		lead = named
	}
	sound := ""
	found := false
	for _, r := range all {
		found = found || r.ID == lead
		if r.Kind == "audio" && sound == "" {
			sound = r.ID
		}
	}
	if !found {
		return nil, badRequest{http.StatusNotFound, errors.New("no such rendition")}
	}
	if sound == "" || sound == lead || !strings.HasPrefix(lead[strings.LastIndexByte(lead, '.')+1:], "v") {
		return []string{lead}, nil
	}
	return []string{lead, sound}, nil
}

// open reads what the head of the file needs.
func (c *clip) open(ctx context.Context, ids []string, s span) error {
	var length time.Duration
	for _, id := range ids {
		p, err := c.at.media(ctx, id)
		if err != nil {
			return err
		}
		if s.end > len(p.items) || s.first >= s.end {
			return badRequest{http.StatusNotFound, errSpan}
		}
		v := voice{id: id, items: p.items[s.first:s.end]}
		last := &v.items[len(v.items)-1]
		length = max(length, last.end()-v.items[0].begin)
		for i := range v.items {
			it := &v.items[i]
			switch {
			case it.gap:
			case v.initName == "":
				v.initName = it.init
			case it.init != v.initName:
				return badRequest{http.StatusConflict, fmt.Errorf("the encoder's settings change at %.3f s, which one file cannot have: end the clip before, or begin it there",
					it.begin.Seconds())}
			}
		}
		if v.initName == "" {
			continue // there is nothing of it
		}
		data, err := c.file(ctx, v.initName)
		if err != nil {
			return err
		}
		if v.init, err = readInit(data); err != nil {
			return err
		}
		c.voices = append(c.voices, v)
	}
	return c.join(length)
}

// join makes the head of the file, and finds out how long it is.
func (c *clip) join(length time.Duration) (err error) {
	inits := make([]initOf, len(c.voices))
	for i := range c.voices {
		inits[i] = c.voices[i].init
	}
	if c.head, err = joinInits(inits, length); err != nil {
		return err
	}
	c.size = int64(len(c.head))
	for i := range c.voices {
		for k := range c.voices[i].items {
			switch it := &c.voices[i].items[k]; {
			case it.gap:
			case it.size < 0 || c.size < 0:
				c.size = -1
			default:
				c.size += it.size
			}
		}
	}
	return nil
}

// file reads a file of the recording.
func (c *clip) file(ctx context.Context, name string) ([]byte, error) {
	if !validFile(name) {
		return nil, errPlaylist
	}
	f, err := c.at.Open(ctx, c.at.full(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size > maxSegmentBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", errMP4, f.Size)
	}
	data := make([]byte, f.Size)
	_, err = io.ReadFull(f, data)
	return data, err
}

// maxSegmentBytes bounds a segment: twice what the packager makes.
const maxSegmentBytes = 128 << 20

// write sends the file.
func (c *clip) write(ctx context.Context, w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	if _, err := w.Write(c.head); err != nil {
		return err
	}
	for i := range c.voices[0].items {
		_ = control.SetWriteDeadline(time.Now().Add(serveTimeout)) // where there is none, there is none
		if err := c.slot(ctx, w, i); err != nil {
			return err
		}
	}
	return nil
}

// slot sends the segments of all renditions that have one place.
func (c *clip) slot(ctx context.Context, w io.Writer, i int) (err error) {
	data, begin := make([][]byte, len(c.voices)), make([]time.Duration, len(c.voices))
	earliest, place := time.Duration(math.MaxInt64), c.voices[0].items[i].begin-c.voices[0].items[0].begin
	for k := range c.voices {
		v := &c.voices[k]
		if v.items[i].gap {
			continue
		}
		if data[k], err = c.file(ctx, v.items[i].uri); err != nil {
			return err
		}
		if begin[k], err = begins(data[k], v.init.timescale); err != nil {
			return err
		}
		earliest = min(earliest, begin[k])
	}
	if earliest != math.MaxInt64 && (!c.known || (earliest-c.shift-place).Abs() > jump) {
		c.shift, c.known = earliest-place, true
	}
	for k := range c.voices {
		if data[k] == nil {
			continue
		}
		if err := retrack(data[k], uint32(k+1), ticks(c.shift, c.voices[k].init.timescale), &c.sequence); err != nil {
			return err
		}
		if _, err := w.Write(data[k]); err != nil {
			return err
		}
	}
	return nil
}
