package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxBody bounds the body of a request: a few parameters.
const maxBody = 64 << 10

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
)

// The methods that LiveGo's clients use. HEAD must not change anything, so it is left out where
// something changes.
var (
	reading  = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	changing = []string{http.MethodGet, http.MethodPost}
)

// answer is what an endpoint says. The HTTP status is the envelope's.
type answer struct {
	Status int `json:"status"`
	Data   any `json:"data"`
}

// endpoint answers a request whose form has been parsed. A parameter in a malformed part of the
// query counts as missing.
type endpoint func(r *http.Request) answer

func serve(e endpoint, methods ...string) http.Handler {
	return only(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		var tooLarge *http.MaxBytesError
		if errors.As(r.ParseForm(), &tooLarge) {
			write(w, r, answer{http.StatusRequestEntityTooLarge, "the body is too large"})
			return
		}
		write(w, r, e(r))
	}, methods...)
}

// only answers 405 to all methods but these.
func only(h http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(methods, r.Method) {
			h(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		write(w, r, answer{http.StatusMethodNotAllowed, "method not allowed, use " + strings.Join(methods, ", ")})
	})
}

// refuse is what the policy says in place of an endpoint.
func refuse(w http.ResponseWriter, r *http.Request, reason string) {
	write(w, r, answer{http.StatusForbidden, reason})
}

// write sends the envelope, or the bare text if the client asked for text and the data is one.
func write(w http.ResponseWriter, r *http.Request, a answer) {
	w.Header().Add("Vary", "Accept")
	if text, ok := a.Data.(string); ok && wantsText(r) {
		setHeaders(w, typeText)
		w.WriteHeader(a.Status)
		io.WriteString(w, text)
		return
	}
	body, err := json.Marshal(a)
	if err != nil {
		http.Error(w, "encoding the answer", http.StatusInternalServerError)
		return
	}
	setHeaders(w, typeJSON)
	w.WriteHeader(a.Status)
	w.Write(body)
}

// setHeaders marks an answer as secret to caches: it may hold a channel key.
func setHeaders(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// wantsText says whether the client names text/plain and not JSON. Browsers and curl name neither,
// and get JSON.
func wantsText(r *http.Request) bool {
	if format := r.URL.Query().Get("format"); format != "" {
		return format == "text"
	}
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	return strings.Contains(accept, "text/plain") && !strings.Contains(accept, typeJSON)
}
