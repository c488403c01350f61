package http1

import (
	"bytes"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
)

const (
	// maxHead bounds the head of a request in the loop, in bytes; those of browsers have 500 to
	// 1,500. net/http says what it thinks of longer ones.
	maxHead = 4 << 10
	// maxKnown bounds the blocks of header fields, and maxTargets the request targets, that a loop
	// knows by heart. All players send the same.
	maxKnown, maxTargets = 512, 512
)

// fate is who answers a request.
type fate uint8

const (
	// incomplete: more bytes have to come. plain: the loop may answer. alone: net/http does, and
	// the connection comes back. foreign: the connection is net/http's for good.
	incomplete fate = iota
	plain
	alone
	foreign
)

// head is the head of a request, taken apart.
type head struct {
	target string
	fields *fields
	size   int // of the head, in bytes
}

// fields is a block of header fields. It never changes.
type fields struct {
	header http.Header
	host   string
	fate   fate
	block  string // as it was read
	// method, scheme and length are those of HTTP/2: length of content, -1: not said.
	method string
	length int64
}

// heads parses the heads of requests. Only what can have but one meaning is taken: everything else
// is foreign. It has one user at a time.
type heads struct {
	known   map[string]*fields
	targets map[string]string
	// blocks are those of HTTP/2 that are known.
	blocks map[string]*fields
}

const (
	version     = " HTTP/1.1\r\n"
	endOfFields = "\r\n\r\n"
)

// parse looks at what was read of a connection since its last request.
func (p *heads) parse(b []byte) (head, fate) {
	end := bytes.Index(b, []byte(endOfFields))
	if end < 0 {
		if len(b) >= maxHead || !begins(b) {
			return head{}, foreign
		}
		return head{}, incomplete
	}
	size := end + len(endOfFields)
	line := bytes.IndexByte(b, '\n') + 1
	method, rest, _ := bytes.Cut(b[:line], []byte(" "))
	target, ok := bytes.CutSuffix(rest, []byte(version))
	if size > maxHead || !ok || !plainTarget(target) {
		return head{}, foreign
	}
	f := p.fields(b[line:size])
	switch string(method) {
	case http.MethodGet:
		return head{target: p.target(target), fields: f, size: size}, f.fate
	case http.MethodHead, http.MethodOptions:
		return head{size: size}, max(f.fate, alone)
	}
	return head{}, foreign
}

// begins says whether a head that is not complete may become one that is understood here: one with
// a method that it knows, and no line that ends otherwise than others read it.
func begins(b []byte) bool {
	known := false
	for _, method := range []string{"GET /", "HEAD /", "OPTIONS /"} {
		n := min(len(b), len(method))
		known = known || string(b[:n]) == method[:n]
	}
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			return false
		}
	}
	return known
}

// plainTarget says whether a request target is a path, and maybe a query, of characters that stand
// for themselves.
func plainTarget(b []byte) bool {
	if len(b) == 0 || b[0] != '/' || len(b) > 1 && b[1] == '/' || b[len(b)-1] == '?' {
		return false
	}
	query := false
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-._~", c) >= 0:
		case c == '?' && !query:
			query = true
		case query && strings.IndexByte("=&%+,:@", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// target returns a request target as a string, the same for the same one.
func (p *heads) target(b []byte) string {
	if t, ok := p.targets[string(b)]; ok {
		return t
	}
	if len(p.targets) >= maxTargets || p.targets == nil {
		p.targets = make(map[string]string)
	}
	t := string(b)
	p.targets[t] = t
	return t
}

// fields parses a block of header fields with the empty line behind it.
func (p *heads) fields(block []byte) *fields {
	if f, ok := p.known[string(block)]; ok {
		return f
	}
	f := parseFields(block)
	f.block = string(block)
	if len(p.known) >= maxKnown || p.known == nil {
		p.known = make(map[string]*fields)
	}
	p.known[f.block] = f
	return f
}

func parseFields(block []byte) *fields {
	f := &fields{header: make(http.Header), fate: plain}
	hosts := 0
	for rest := block; ; {
		line, more, _ := bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		rest = more
		name, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, " \t")
		if !ok || !token(name) || !printable(value) {
			return &fields{fate: foreign}
		}
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		if key == "Host" {
			hosts++
			f.host = string(value)
			continue
		}
		f.fate = max(f.fate, meaning(key, string(value)))
		f.header[key] = append(f.header[key], string(value))
	}
	if hosts != 1 || !plainHost(f.host) {
		f.fate = foreign
	}
	return f
}

// meaning is what a header field makes of a request.
func meaning(key, value string) fate {
	switch key {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Expect", "Upgrade", "Proxy-Connection", "Http2-Settings":
		return foreign
	case "Connection":
		switch {
		case strings.EqualFold(value, "keep-alive"):
			return plain
		case strings.EqualFold(value, "close"):
			return alone
		}
		return foreign
	case "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Pragma":
		return alone
	}
	return plain
}

// token says whether b is a name of a header field (RFC 9110 5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

func printable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// plainHost says whether a Host field has a name or an address, and maybe a port, of characters
// that stand for themselves.
func plainHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(".-_:[]", c) >= 0:
		default:
			return false
		}
	}
	return host != "" && ValidHost(host)
}

// ValidHost says whether a Host field has the form of a host, and maybe a port (RFC 9110 7.2, RFC
// 3986 3.2.2): brackets stand around addresses of IPv6, and nowhere else. Which characters a name
// has is net/http's to say; nothing at all is valid too.
func ValidHost(host string) bool {
	name, port, _ := strings.Cut(host, ":")
	if address, ok := strings.CutPrefix(host, "["); ok {
		var rest string
		if address, rest, ok = strings.Cut(address, "]"); !ok || rest != "" && rest[0] != ':' {
			return false
		}
		if ip, err := netip.ParseAddr(address); err != nil || !ip.Is6() {
			return false
		}
		name, port = "", strings.TrimPrefix(rest, ":")
	}
	digit := func(c rune) bool { return c >= '0' && c <= '9' }
	return !strings.ContainsAny(name, "[]") && strings.TrimLeftFunc(port, digit) == ""
}
