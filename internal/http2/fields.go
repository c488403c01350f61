package http2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Request is what the fields of a request say, but for its path.
type Request struct {
	Method, Scheme, Authority string
	// Fields are the others.
	Fields []hpack.HeaderField
}

// Parse reads the fields of a request. It is false for those that are malformed (RFC 9113 8.1.1,
// 8.2, 8.3).
func Parse(fields []hpack.HeaderField) (r Request, ok bool) {
	seen := make(map[string]bool)
	n := 0
	for ; n < len(fields) && fields[n].IsPseudo(); n++ {
		f := fields[n]
		if seen[f.Name] || !validValue(f.Value) {
			return r, false
		}
		seen[f.Name] = true
		switch f.Name {
		case ":method":
			r.Method = f.Value
		case ":scheme":
			r.Scheme = f.Value
		case ":authority":
			r.Authority = f.Value
		case ":path":
			if f.Value == "" {
				return r, false
			}
		default:
			return r, false
		}
	}
	r.Fields = fields[n:]
	for _, f := range r.Fields {
		if !ValidField(f) {
			return r, false
		}
	}
	if r.Method == "CONNECT" { // 8.5
		return r, !seen[":scheme"] && !seen[":path"] && r.Authority != ""
	}
	return r, token(r.Method, false) && r.Scheme != "" && seen[":path"]
}

// ValidField says whether a field that is no pseudo-field may stand in HTTP/2 (RFC 9113 8.2).
func ValidField(f hpack.HeaderField) bool {
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return false
	case "te":
		return f.Value == "trailers"
	}
	return token(f.Name, true) && validValue(f.Value)
}

// token says whether s is a name of a field or a method (RFC 9110 5.6.2), of small letters or of
// any.
func token(s string, small bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		case !small && 'A' <= c && c <= 'Z':
		default:
			return false
		}
	}
	return s != ""
}

// validValue says whether a field may have a value (RFC 9113 8.2.1, RFC 9110 5.5).
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return s == "" || !blank(s[0]) && !blank(s[len(s)-1])
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// AppendStatus begins the header block of an answer.
func AppendStatus(b []byte, status int) []byte {
	switch status { // RFC 7541 appendix A
	case 200:
		return append(b, 0x80|8)
	case 204:
		return append(b, 0x80|9)
	case 206:
		return append(b, 0x80|10)
	case 304:
		return append(b, 0x80|11)
	case 400:
		return append(b, 0x80|12)
	case 404:
		return append(b, 0x80|13)
	case 500:
		return append(b, 0x80|14)
	}
	return appendString(append(b, 8), strconv.Itoa(status))
}

// AppendField appends a field, whose name is in the form that net/http has, to a header block:
// without indexing (RFC 7541 6.2.2).
func AppendField(b []byte, name, value string) []byte {
	if i := staticName(name); i > 0 {
		return appendString(appendInt(b, 0, 4, i), value)
	}
	b = appendInt(append(b, 0), 0, 7, len(name))
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return appendString(b, value)
}

// appendString appends a string as it is (RFC 7541 5.2).
func appendString(b []byte, s string) []byte { return append(appendInt(b, 0, 7, len(s)), s...) }

// appendInt appends an integer with a prefix of so many bits (RFC 7541 5.1).
func appendInt(b []byte, first byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// staticName returns the index of a name in the static table (RFC 7541 appendix A), 0 for others.
func staticName(name string) int {
	switch name {
	case "Accept-Ranges":
		return 18
	case "Access-Control-Allow-Origin":
		return 20
	case "Age":
		return 21
	case "Allow":
		return 22
	case "Cache-Control":
		return 24
	case "Content-Encoding":
		return 26
	case "Content-Length":
		return 28
	case "Content-Range":
		return 30
	case "Content-Type":
		return 31
	case "Date":
		return 33
	case "Etag":
		return 34
	case "Last-Modified":
		return 44
	case "Location":
		return 46
	case "Retry-After":
		return 53
	case "Vary":
		return 59
	}
	return 0
}
