package http1

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"livego/internal/http2"
)

// targetOf returns a path of HTTP/2 as it is known by heart, and whether it is plain.
func (p *heads) targetOf(path string) (string, bool) {
	if t, ok := p.targets[path]; ok {
		return t, true
	}
	if len(path) > maxHead || !plainTarget([]byte(path)) {
		return path, false
	}
	return p.target([]byte(path)), true
}

// blockOf parses the fields of a request over HTTP/2, for which key stands, but for its path. It is
// nil for malformed ones (RFC 9113 8.1.1).
func (p *heads) blockOf(key []byte, all []hpack.HeaderField) *fields {
	if f, ok := p.blocks[string(key)]; ok {
		return f
	}
	r, ok := http2.Parse(all)
	if !ok {
		return nil
	}
	f := fieldsOf(r)
	if f == nil || len(key) > maxHead {
		return f
	}
	if len(p.blocks) >= maxKnown || p.blocks == nil {
		p.blocks = make(map[string]*fields)
	}
	p.blocks[string(key)] = f
	return f
}

// fieldsOf is nil where the length of the content is none.
func fieldsOf(r http2.Request) *fields {
	f := &fields{header: make(http.Header), host: r.Authority, method: r.Method, length: -1, fate: plain}
	var cookies []string
	for _, field := range r.Fields {
		key := textproto.CanonicalMIMEHeaderKey(field.Name)
		switch key {
		case "Host":
			if f.host == "" { // 8.3.1
				f.host = field.Value
			}
			continue
		case "Cookie": // 8.2.3
			cookies = append(cookies, field.Value)
			continue
		case "Content-Length":
			n, err := strconv.ParseUint(field.Value, 10, 63)
			if err != nil || f.length >= 0 && f.length != int64(n) {
				return nil
			}
			f.length = int64(n)
		}
		f.fate = max(f.fate, meaning(key, field.Value))
		f.header[key] = append(f.header[key], field.Value)
	}
	if cookies != nil {
		f.header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	if f.method != http.MethodGet || !plainHost(f.host) {
		f.fate = foreign
	}
	return f
}
