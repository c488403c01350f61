package record

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path"
	"strings"
	"time"
	"unicode"
)

const (
	// maxElement bounds an element of a name, in bytes: file systems take 255, and something is
	// added to some.
	maxElement = 200
	// startLayout is how {start} is written.
	startLayout = "20060102T150405Z"
)

// Template makes the names of recordings. The zero value is not usable.
type Template struct {
	text  string
	parts []part
}

// String returns the text of which it was made.
func (t Template) String() string { return t.text }

// part is literal text, or a field with its layout.
type part struct{ literal, field, layout string }

// ParseTemplate reads text such as "{app}/{stream}/{start:20060102T150405Z}-{id}". The fields are
// app, stream, start (UTC, with a layout as package time has it) and id. There must be start or id,
// or names would repeat.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	unique := false
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		if strings.ContainsAny(literal, "}\\") {
			return t, fmt.Errorf("%q stands outside of a field", "} or \\")
		}
		if literal != "" {
			t.parts = append(t.parts, part{literal: literal})
		}
		if !found {
			break
		}
		field, more, closed := strings.Cut(after, "}")
		if !closed {
			return t, errors.New("a field has no }")
		}
		p := part{}
		p.field, p.layout, _ = strings.Cut(field, ":")
		switch {
		case p.field == "start" && p.layout == "":
			p.layout = startLayout
		case p.field == "start":
		case p.layout != "", p.field != "app" && p.field != "stream" && p.field != "id":
			return t, fmt.Errorf("{%.40s} is no field: there are {app}, {stream}, {start}, {start:LAYOUT} and {id}", field)
		}
		unique = unique || p.field == "start" || p.field == "id"
		t.parts = append(t.parts, p)
		rest = more
	}
	if !unique {
		return t, errors.New("it needs {start} or {id}: else all recordings of a stream would have one name")
	}
	sample := t.raw("app", "stream", "id", time.Date(2026, 11, 22, 13, 14, 15, 0, time.UTC))
	if sample != path.Clean(sample) || strings.HasPrefix(sample, "/") || strings.HasPrefix(sample, ".") || strings.Contains(sample, "/.") {
		return t, errors.New("it must be a path without .., without empty elements and without elements that begin with a dot")
	}
	return t, nil
}

// raw fills the fields in.
func (t Template) raw(app, stream, id string, start time.Time) string {
	var b strings.Builder
	for _, p := range t.parts {
		switch p.field {
		case "app":
			b.WriteString(app)
		case "stream":
			b.WriteString(stream)
		case "id":
			b.WriteString(id)
		case "start":
			b.WriteString(start.UTC().Format(p.layout))
		default:
			b.WriteString(p.literal)
		}
	}
	return b.String()
}

// Name returns the name of a recording: a path whose elements can stand in file systems, in buckets
// and, but for letters that are not of ASCII, in URLs. What cannot is written as "=" and two
// hexadecimal digits for each byte.
func (t Template) Name(app, stream, id string, start time.Time) string {
	elements := strings.Split(t.raw(strings.ReplaceAll(app, "/", "_"), stream, id, start), "/")
	for i := range elements {
		elements[i] = escape(elements[i])
	}
	return strings.Join(elements, "/")
}

// escape makes an element of a path of any text. Texts that differ stay different.
func escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), r == '-', r == '_', r == '.' && i > 0:
			b.WriteRune(r)
		default:
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "=%02X", c)
			}
		}
	}
	short := b.String()
	if len(short) <= maxElement && short != "" {
		return short
	}
	cut := 0
	for i := range short {
		if i > maxElement-20 {
			break
		}
		cut = i
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(text)) // never fails
	return fmt.Sprintf("%s=%016x", short[:cut], sum.Sum64())
}
