// Package hlscheck holds what a client gets of a Low-Latency HLS stream against the rules of
// draft-pantos-hls-rfc8216bis, and against those that livego adds: numbers of segments are the same
// in all renditions, and what is cached for how long.
//
// It is for tests. A Checker is fed with every response of one client, in order, and says which
// rule is broken, by its clause.
package hlscheck

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// maxProblems bounds what a Checker remembers.
const maxProblems = 200

// Response is what a client got for one GET request.
type Response struct {
	// URL is that of the request, absolute or from the root on, with its query.
	URL string
	// Asked is when the request was sent, At when the whole response was there.
	Asked, At time.Time
	Status    int
	Header    map[string][]string
	// Body is without Content-Encoding. The Checker keeps it: the caller must not change it.
	Body []byte
}

// get returns a header.
func (r *Response) get(name string) string {
	for k, v := range r.Header {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Problem is a rule that is broken.
type Problem struct {
	// Clause is the section of draft-pantos-hls-rfc8216bis, or "livego" for a rule of our own.
	Clause string
	// URL is that of the response that shows it.
	URL  string
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("%s: %s (%s)", p.URL, p.Text, p.Clause) }

// Checker holds the responses that one client gets against the rules. It has one user. The zero
// value is ready.
type Checker struct {
	// Slack, if it is not 0, is by how much parts and segments may appear in playlists later than
	// they should. The client must then ask for playlists all the time, with blocking requests.
	Slack time.Duration
	// Shared says that the answers come through a cache that other clients use: what they say of
	// the present may be old.
	Shared bool

	// problems are those that were found, known the same by clause and text: one is reported once.
	problems  []Problem
	known     map[string]bool
	playlists map[string]*history
	files     map[string]*file
	// unreported are the playlists of which a report was missing, and since when.
	unreported map[string]time.Time
	ladder     *multivariant
	ladderDir  string

	// now is the response under way, found what it breaks.
	now   *Response
	found []Problem
}

// Add takes the next response and returns the rules that it breaks, unless the same was found
// before.
func (c *Checker) Add(r Response) []Problem {
	if c.playlists == nil {
		c.playlists, c.files, c.known = map[string]*history{}, map[string]*file{}, map[string]bool{}
		c.unreported = map[string]time.Time{}
	}
	c.now, c.found = &r, nil
	if u, err := url.Parse(r.URL); err != nil {
		c.report("3", "bad URL: %v", err)
	} else {
		c.headers()
		c.dispatch(u)
	}
	return c.found
}

func (c *Checker) dispatch(u *url.URL) {
	switch r := c.now; {
	case r.Status == 304:
	case !strings.HasSuffix(u.Path, ".m3u8"):
		c.file(u.Path)
	case r.Status != 200:
		c.refused(u)
	case bytes.Contains(r.Body, []byte("#EXT-X-STREAM-INF")):
		c.multivariant(u.Path)
	default:
		c.media(u)
	}
}

// Err joins all that was found, nil if nothing was.
func (c *Checker) Err() error {
	errs := make([]error, len(c.problems))
	for i, p := range c.problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// Playlists returns how many media playlists were seen, for tests that must not pass because
// nothing was checked.
func (c *Checker) Playlists() int { return len(c.playlists) }

// Files returns how many segments, parts and initialization sections were seen.
func (c *Checker) Files() int { return len(c.files) }

func (c *Checker) report(clause, format string, args ...any) {
	p := Problem{Clause: clause, URL: c.now.URL, Text: fmt.Sprintf(format, args...)}
	if key := p.Clause + p.Text; !c.known[key] && len(c.problems) < maxProblems {
		c.known[key] = true
		c.problems, c.found = append(c.problems, p), append(c.found, p)
	}
}

// check reports a broken rule unless ok.
func (c *Checker) check(ok bool, clause, format string, args ...any) {
	if !ok {
		c.report(clause, format, args...)
	}
}

// resolve returns the path of a URI that a playlist at the path base names.
func resolve(base, uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	if strings.HasPrefix(u.Path, "/") {
		return u.Path
	}
	return path.Join(path.Dir(base), u.Path)
}
