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

// withGoodRange returns the request with a Range header that http.ServeContent answers as RFC 9110
// asks: without one if it names too many ranges, or some that overlap, or a unit that is not bytes.
// Who asks for that gets the whole file (§14.2).
func withGoodRange(r *http.Request) *http.Request {
	header := r.Header.Get("Range")
	good := goodRange(header)
	if good == header {
		return r
	}
	other := *r
	other.Header = r.Header.Clone()
	if other.Header.Del("Range"); good != "" {
		other.Header.Set("Range", good)
	}
	return &other
}

// unsatisfiable is a range that no file has, and manyDigits is how many digits say a number beyond
// all files.
const (
	unsatisfiable = "9223372036854775807-"
	manyDigits    = 19
)

// goodRange returns what is meant by a Range header, empty if that is the whole file.
func goodRange(header string) string {
	unit, set, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(unit, "bytes") || !bearable(header) {
		return ""
	}
	specs := strings.Split(set, ",")
	for i, spec := range specs {
		first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
		switch digits := strings.Trim(last, "0123456789") == "" && last != ""; {
		case !ok || !digits:
		case first == "" && strings.Trim(last, "0") == "": // the last 0 bytes (§14.1.2)
			specs[i] = unsatisfiable
		case len(last) < manyDigits:
		case first == "": // all of it
			specs[i] = "0-"
		default: // to the end
			specs[i] = first + "-"
		}
	}
	return "bytes=" + strings.Join(specs, ",")
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
