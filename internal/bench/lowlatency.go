package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"livego/internal/pause"
)

// This file plays Low-Latency HLS (RFC 8216bis §6.2.5): it asks for the next part by the preload
// hint and for the playlist that will name it, and the server answers both when the part is there.

// playParts plays on from a playlist with parts until the stream ends.
func (r *rendition) playParts(ctx context.Context, l *mediaPlaylist) error {
	r.media = newHTTPConn(r.lists.network, r.lists.drain, r.lists.bytes)
	r.media.timed, r.media.two = r.lists.timed, r.lists.two
	if !r.at.known {
		r.at = l.start()
	}
	if err := r.catchUp(ctx, l, "", true); err != nil {
		return err
	}
	for !l.ended {
		asked, before := time.Now(), r.at
		hint, next, err := r.await(ctx, l)
		if err != nil {
			return err
		}
		if l = next; l.sequence+l.skipped > r.at.sequence && l.skipped > 0 {
			if l, err = r.load(ctx); err != nil { // what is missing was skipped
				return err
			}
		}
		if err := r.catchUp(ctx, l, hint, false); err != nil {
			return err
		}
		// A server that does not hold requests although it said so is not asked more often than
		// parts come.
		if r.at == before && !l.ended {
			if err := pause.For(ctx, time.Until(asked.Add(l.partTarget/2))); err != nil {
				return err
			}
		}
	}
	return io.EOF
}

// await requests the hinted part and the next playlist at once. It returns the hint if its part
// came.
func (r *rendition) await(ctx context.Context, l *mediaPlaylist) (came string, next *mediaPlaylist, err error) {
	if l.hint != "" {
		u, err := r.list.Parse(l.hint)
		if err != nil {
			return "", nil, err
		}
		if err := r.media.request(ctx, u); err != nil {
			return "", nil, err
		}
	}
	if err := r.lists.request(ctx, r.reload(l)); err != nil {
		return "", nil, err
	}
	if l.hint != "" {
		a, err := r.media.answer(ctx, r.buffer(), maxSegment)
		if err != nil {
			return "", nil, err
		}
		// A hinted part may never come to be (§4.4.5.3): then the playlist names another.
		if a.status == 200 {
			came = l.hint
			r.took(0, false, true)
			r.partCame()
		}
	}
	r.text.Reset()
	a, err := r.lists.answer(ctx, &r.text, maxPlaylist)
	if err != nil {
		return "", nil, err
	}
	if a.status != 200 {
		return "", nil, statusError{r.list.Path, a.status}
	}
	next, err = r.lists.playlists.parse(r.text.Bytes())
	return came, next, err
}

// partCame measures a part that was hinted.
func (r *rendition) partCame() {
	if r.out != nil && !r.check.firstSent.IsZero() {
		r.out.part(r.media.arrived().Sub(r.check.firstSent))
		r.check.firstSent = time.Time{}
	}
}

// reload returns the URL of the playlist that has the next part (§6.2.5.2).
func (r *rendition) reload(l *mediaPlaylist) *url.URL {
	next := l.end()
	u := *r.list
	query := u.Query()
	query.Set("_HLS_msn", strconv.Itoa(next.sequence))
	query.Set("_HLS_part", strconv.Itoa(next.part))
	if l.skips {
		query.Set("_HLS_skip", "YES")
	}
	u.RawQuery = query.Encode()
	return &u
}

// end returns the position of the part after the last one.
func (l *mediaPlaylist) end() position {
	first := l.sequence + l.skipped
	if n := len(l.segments); n > 0 && l.segments[n-1].uri == "" {
		return position{first + n - 1, len(l.segments[n-1].parts), true}
	}
	return position{first + len(l.segments), 0, true}
}

// start returns where a player begins: at the last independent part that is at least the hold back
// before the end (§4.4.3.8), or else at the first part.
func (l *mediaPlaylist) start() position {
	first, behind := l.end(), time.Duration(0)
	for i := len(l.segments) - 1; i >= 0; i-- {
		parts := l.segments[i].parts
		for j := len(parts) - 1; j >= 0; j-- {
			behind += parts[j].duration
			first = position{l.sequence + l.skipped + i, j, true}
			if parts[j].independent && behind >= l.holdBack {
				return first
			}
		}
		if len(parts) == 0 {
			break
		}
	}
	return first
}

// catchUp loads what the playlist names from the player's position on. Of the part that came by its
// hint only the duration is new.
func (r *rendition) catchUp(ctx context.Context, l *mediaPlaylist, came string, history bool) error {
	for i := range l.segments {
		s, sequence := &l.segments[i], l.sequence+l.skipped+i
		if sequence < r.at.sequence {
			continue
		}
		if sequence > r.at.sequence {
			r.at = position{sequence, 0, true}
		}
		if len(s.parts) == 0 && r.at.part == 0 {
			if err := r.segment(ctx, s, history); err != nil {
				return err
			}
		}
		for ; r.at.part < len(s.parts); r.at.part++ {
			if err := r.part(ctx, s, &s.parts[r.at.part], came, history); err != nil {
				return err
			}
		}
		if s.uri != "" {
			r.at = position{sequence + 1, 0, true}
		}
	}
	return nil
}

// part takes one part that a playlist names.
func (r *rendition) part(ctx context.Context, s *segment, p *part, came string, history bool) error {
	if p.gap || s.gap {
		r.clock.add(p.duration)
		return nil
	}
	if p.uri == came {
		r.clock.add(p.duration)
		return nil
	}
	if err := r.section(ctx, s.init); err != nil {
		return err
	}
	u, err := r.list.Parse(p.uri)
	if err != nil {
		return err
	}
	_, err = r.media.get(ctx, u, r.buffer(), maxSegment)
	var status statusError
	switch {
	case errors.As(err, &status) && status.status == 404 && !history:
		return fmt.Errorf("a part that the playlist names is not there: %w", err)
	case err != nil:
		return err
	}
	r.took(p.duration, history, true)
	return nil
}
