package hlscheck

import (
	"bytes"
	"strconv"
	"strings"
)

// immutable is how everything is cached whose name is never used again.
const immutable = "public, max-age=31536000, immutable"

// file is a segment, a part or an initialization section that was fetched.
type file struct {
	body []byte
	tag  string
}

// headers checks what holds for all responses.
func (c *Checker) headers() {
	r := c.now
	cache := r.get("Cache-Control")
	if r.Status >= 400 {
		c.check(cache == "no-store", "livego", "an error may be cached: %q", cache)
		return
	}
	if r.Status != 200 {
		return
	}
	if n := r.get("Content-Length"); n != "" && r.get("Content-Encoding") == "" {
		c.check(n == strconv.Itoa(len(r.Body)), "RFC 9110 8.6", "Content-Length %s of %d bytes", n, len(r.Body))
	}
	tag := r.get("ETag")
	c.check(strings.HasPrefix(tag, `"`), "livego", "no strong ETag: %q", tag)
}

// file checks a file and everything that it is a part of.
func (c *Checker) file(name string) {
	r := c.now
	if r.Status != 200 {
		c.missing(name)
		return
	}
	c.check(r.get("Cache-Control") == immutable, "livego", "a file that never changes is cached as %q", r.get("Cache-Control"))
	f := &file{r.Body, r.get("ETag")}
	if old := c.files[name]; old != nil {
		c.check(bytes.Equal(old.body, f.body), "6.2.1", "the file has changed")
		c.check(old.tag == f.tag, "livego", "the same file has another ETag: %s after %s", f.tag, old.tag)
	}
	c.files[name] = f
	for base, h := range c.playlists {
		if s := h.bySegment(base, name); s != nil {
			c.joined(base, s)
		}
	}
}

// joined checks that a segment is its parts, if all of them were fetched.
func (c *Checker) joined(base string, s *seen) {
	whole := c.files[resolve(base, s.uri)]
	if whole == nil || s.uri == "" || len(s.parts) == 0 {
		return
	}
	var parts []byte
	for _, p := range s.parts {
		f := c.files[resolve(base, p.uri)]
		if f == nil {
			return
		}
		parts = append(parts, f.body...)
	}
	c.check(bytes.Equal(parts, whole.body), "4.4.4.9", "segment %d has %d bytes, its parts have %d, or others", s.msn, len(whole.body), len(parts))
}

// missing checks that nobody was promised the file.
func (c *Checker) missing(name string) {
	for base, h := range c.playlists {
		s := h.bySegment(base, name)
		if s == nil || s.gap {
			continue
		}
		segment := s.uri != "" && resolve(base, s.uri) == name
		if s.removed.IsZero() && !c.now.Asked.Before(h.at.Add(s.duration+h.longest)) {
			continue // the client has not looked into the playlist for long
		}
		switch {
		case segment && s.removed.IsZero():
			c.report("6.2.1", "status %d for segment %d, which is in the playlist", c.now.Status, s.msn)
		case segment && c.now.Asked.Before(s.first.Add(s.duration+h.longest)):
			c.report("6.2.2", "status %d for segment %d within its availability duration", c.now.Status, s.msn)
		case !segment && s.partsGone.IsZero() && s.removed.IsZero():
			c.report("6.2.1", "status %d for a part of segment %d, which is in the playlist", c.now.Status, s.msn)
		case !segment && !s.partsGone.IsZero() && c.now.Asked.Before(s.partsGone.Add(3*h.target())):
			c.report("6.2.2", "status %d for a part of segment %d within three target durations of its removal", c.now.Status, s.msn)
		}
	}
}
