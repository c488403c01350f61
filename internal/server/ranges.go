package server

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxRanges is how many ranges of a file one request gets. Players ask for one; each further one
// costs a part of its own in the answer, and a request has room for thousands.
const maxRanges = 4

// withoutFlood returns the request, without its Range header if that names too many ranges or some
// that overlap: who asks for that gets the whole file (RFC 9110 §14.2).
func withoutFlood(r *http.Request) *http.Request {
	if bearable(r.Header.Get("Range")) {
		return r
	}
	whole := *r
	whole.Header = r.Header.Clone()
	whole.Header.Del("Range")
	return &whole
}

// bearable says whether the ranges are few and, as far as that shows without the size of the file,
// do not overlap.
func bearable(header string) bool {
	_, set, several := strings.Cut(header, "=")
	if !several || !strings.Contains(set, ",") {
		return true
	}
	if strings.Count(set, ",") >= maxRanges {
		return false
	}
	type span struct{ first, last int64 }
	var spans []span
	toEnd := 0 // ranges that hold the last byte
	for spec := range strings.SplitSeq(set, ",") {
		from, to, _ := strings.Cut(strings.TrimSpace(spec), "-")
		first, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
		if err != nil {
			toEnd++ // -500: its first byte depends on the size; what is no range at all is refused elsewhere
			continue
		}
		last, err := strconv.ParseInt(strings.TrimSpace(to), 10, 64)
		if err != nil {
			toEnd, last = toEnd+1, 1<<63-1
		}
		spans = append(spans, span{first, last})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for i := 1; i < len(spans); i++ {
		if spans[i].first <= spans[i-1].last {
			return false
		}
	}
	return toEnd <= 1
}
