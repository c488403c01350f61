package listen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	// maxAuthorization bounds what is read of an authority's answer to look for reasons.
	maxAuthorization = 64 << 10
	// maxReason bounds what is told of a reason, maxReasons how many are kept.
	maxReason  = 300
	maxReasons = 4
)

// reasons listens to what an authority answers, and keeps why it did not believe a proof: what
// autocert says of it is only that none was believed.
type reasons struct {
	next http.RoundTripper // nil: the default one

	mu    sync.Mutex
	heard []string
}

// problem is RFC 7807's, as RFC 8555 §6.7 has it.
type problem struct{ Detail string }

// authorization is what has reasons in it: RFC 8555 §7.1.4 and, for challenges alone, §8.
type authorization struct {
	Type       string
	Error      *problem
	Challenges []authorization
}

// RoundTrip implements http.RoundTripper.
func (r *reasons) RoundTrip(request *http.Request) (*http.Response, error) {
	next := r.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(request)
	if err != nil || !strings.Contains(answer.Header.Get("Content-Type"), "json") {
		return answer, err
	}
	start, err := io.ReadAll(io.LimitReader(answer.Body, maxAuthorization))
	if err != nil {
		answer.Body.Close()
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), answer.Body), answer.Body}
	var a authorization
	if json.Unmarshal(start, &a) == nil {
		r.note(a)
	}
	return answer, nil
}

func (r *reasons) note(a authorization) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range append(a.Challenges, a) {
		if c.Error == nil || c.Error.Detail == "" {
			continue
		}
		reason := c.Error.Detail
		if c.Type != "" {
			reason = c.Type + ": " + reason
		}
		reason = fmt.Sprintf("%.*s", maxReason, reason)
		if len(r.heard) < maxReasons && !strings.Contains(strings.Join(r.heard, "; "), reason) {
			r.heard = append(r.heard, reason)
		}
	}
}

// take returns what was heard since it was asked last.
func (r *reasons) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.Join(r.heard, "; ")
	r.heard = nil
	return text
}
