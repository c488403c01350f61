package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"livego/internal/listen"
)

// RFC 9110 §14.1.2 and §14.2.
func TestBearableRanges(t *testing.T) {
	for header, want := range map[string]bool{
		"":                                    true,
		"bytes=0-":                            true,
		"bytes=0-499":                         true,
		"bytes=-500":                          true,
		"bytes=0-0,-1":                        true,
		"bytes=0-99, 200-299":                 true,
		"bytes=0-0,2-2,4-4,6-6":               true,
		"bytes=6-6,4-4,2-2,0-0":               true,
		"bytes=0-0,2-2,4-4,6-6,8-8":           false,
		"bytes=0-0,2-2,4-4,6-6,":              false,
		"bytes=0-0,0-0":                       false,
		"bytes=0-99,99-199":                   false,
		"bytes=99-199, 0-99":                  false,
		"bytes=0-,5-9":                        false,
		"bytes=0-,-5":                         false,
		"bytes=-5,-6":                         false,
		"bytes=0-99,100-":                     true,
		"bytes=" + strings.Repeat(",", 16000): false,
		"bytes=5-1,x":                         true, // no ranges: refused where the file is known
		"pages=1-2,3-4,5-6,7-8,9-9":           false,
		"nonsense":                            true,
	} {
		if got := bearable(header); got != want {
			t.Errorf("%.40q: bearable %v, want %v", header, got, want)
		}
	}
}

// Ranges are answered as RFC 9110 asks, and too many of them with the whole file.
func TestRangeFlood(t *testing.T) {
	const text = "0123456789"
	s := withApps()
	h := s.guarded(listen.Watching, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file.ts", time.Time{}, strings.NewReader(text))
	}))
	for ranges, want := range map[string]struct {
		status int
		body   string
	}{
		"bytes=2-4": {http.StatusPartialContent, "234"},
		"bytes=-1":  {http.StatusPartialContent, "9"},
		"bytes=" + strings.Repeat("0-0,", 3800) + "0-0": {http.StatusOK, text},
		"bytes=0-5,5-6":                {http.StatusOK, text},
		"items=0-5":                    {http.StatusOK, text}, // a unit that nobody knows here (§14.2)
		"nonsense":                     {http.StatusOK, text},
		"BYTES=2-4":                    {http.StatusPartialContent, "234"}, // names of units have no case (§14.1)
		"bytes=8-18446744073709551615": {http.StatusPartialContent, "89"},
		"bytes=-18446744073709551615":  {http.StatusPartialContent, text},
		"bytes=-0":                     {http.StatusRequestedRangeNotSatisfiable, "invalid range: failed to overlap\n"},
		"bytes=18446744073709551615-":  {http.StatusRequestedRangeNotSatisfiable, "invalid range\n"},
		"bytes=5-2":                    {http.StatusRequestedRangeNotSatisfiable, "invalid range\n"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/file.ts", nil)
		r.Header.Set("Range", ranges)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); w.Code != want.status || got != want.body {
			t.Errorf("%.40q is answered with %d %.80s, want %d %s", ranges, w.Code, got, want.status, want.body)
		}
		if r.Header.Get("Range") != ranges {
			t.Errorf("%.40q: the caller's request was changed", ranges)
		}
	}
}
