package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"livego/internal/hls"
	"livego/internal/hls/playlist"
	"livego/internal/http1"
)

// answer is what a file is.
type answer struct {
	file   File
	status int
	header http.Header
	// body are its bytes, whole is the same.
	body  []byte
	whole playlist.File
	// came is when it was fetched, age how old it was then, and good for how long it may be kept.
	came      time.Time
	age, good time.Duration
	// large: the body is not here, and each who wants it asks by itself.
	large bool
}

func (a *answer) size() int64 {
	return int64(len(a.body)+len(a.file.Path)+len(a.file.Query)) + overhead
}

// own are the headers that belong to a file.
var own = []string{
	"Content-Type", "Content-Encoding", "Cache-Control", "Etag", "Last-Modified", "Accept-Ranges", "Vary", "Retry-After", "Location",
	"Access-Control-Expose-Headers",
}

// kept returns them.
func kept(h http.Header) http.Header {
	of := make(http.Header)
	for _, name := range own {
		if values := h[name]; values != nil {
			of[name] = values
		}
	}
	return of
}

// errAnswer: no file is answered with that.
var errAnswer = errors.New("the node does not answer as one")

// check says whether an answer is one to a whole file. It may lead elsewhere, but not to another
// server.
func check(resp *http.Response) error {
	to, err := url.Parse(resp.Header.Get("Location"))
	switch status := resp.StatusCode; {
	case status == http.StatusOK, status >= http.StatusBadRequest && status <= 599:
		return nil
	case status == http.StatusFound && err == nil && to.Host == "" && to.Scheme == "" && to.Path != "":
		return nil
	}
	return fmt.Errorf("%w: %.64q", errAnswer, resp.Status)
}

// lifetime reads how old an answer is, and for how long it may be kept by all (RFC 9111 5.2.2).
func lifetime(h http.Header) (age, good time.Duration) {
	seconds, err := strconv.ParseUint(h.Get("Age"), 10, 31)
	if err == nil {
		age = time.Duration(seconds) * time.Second
	}
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache", "private":
			return age, 0
		case "max-age":
			if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
				good = time.Duration(seconds) * time.Second
			}
		}
	}
	return age, max(0, good-age)
}

// write answers a request with a file, in part where its home does so too.
func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	if age := a.age + time.Since(a.came); a.good > 0 && age >= time.Second {
		h.Set("Age", strconv.Itoa(int(age/time.Second)))
	}
	if a.status == http.StatusOK && h["Accept-Ranges"] != nil {
		hls.WriteFile(w, r, &a.whole)
		return
	}
	h["Content-Length"] = a.whole.Length
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = http1.WriteShared(w, a.body) // the client is gone if this fails
	}
}
