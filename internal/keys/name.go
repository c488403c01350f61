package keys

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxNameLength bounds a room's name, in bytes: the longest name of a file on common systems.
const MaxNameLength = 255

// CanonicalName returns the form in which a name of a stream is kept, of a room as well as of what
// is published or played without one: names that look the same are the same. It is what Normal
// makes of it, without blanks around its elements. Errors wrap ErrBadRoom and say why, without the
// name, as it may be a key in the wrong place.
//
// A name is one or more elements joined by "/", is part of URLs, log lines and file names, and must
// mean the same in all of them: at most 255 bytes of UTF-8 without control characters, line
// separators, controls of text direction, replacement characters and any of ?#%\; no element is
// empty or begins with a dot; and the last element is neither "index" nor begins with "index-" nor
// is, after other elements, all digits, nor ends like a file of a stream (.flv, .m3u8, .ts, .m4s,
// .mp4), as /app/a/index.m3u8, /app/a/index-v0.m3u8, /app/a/7.ts and /app/a.flv belong to stream a.
// A single element may be all digits: rooms are numbered often.
func CanonicalName(name string) (string, error) {
	if len(name) > maxRawName {
		return "", reason(ErrBadRoom, fmt.Sprintf("it has %d bytes, the most is %d", len(name), MaxNameLength))
	}
	if !utf8.ValidString(name) {
		return "", reason(ErrBadRoom, "it is not UTF-8")
	}
	elements := strings.Split(Normal(name), "/")
	for i, element := range elements {
		elements[i] = strings.TrimSpace(element)
	}
	name = strings.Join(elements, "/")
	if err := validate(name); err != nil {
		return "", err
	}
	return name, nil
}

// maxRawName bounds what is made canonical, in bytes: nothing visible takes more.
const maxRawName = 4 * MaxNameLength

// Normal returns text, such as the path of a URL, in Unicode's normalization form C (UAX #15),
// without characters that nobody sees, and with one kind of blank. Text in ASCII is returned as it
// is.
func Normal(text string) string {
	if isASCII(text) {
		return text
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case unseen(r):
			return -1
		case unicode.Is(unicode.Zs, r), r == brailleBlank:
			return ' '
		}
		return r
	}, text))
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// brailleBlank is a Braille pattern without dots, which is no blank for Unicode.
const brailleBlank = '\u2800'

// unseen says whether Unicode calls the character default ignorable (DerivedCoreProperties.txt):
// joiners, variation selectors, soft hyphens and the like. Controls of text direction are not among
// them: they are refused, for they change how what is around them is seen.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) &&
		!unicode.In(r, unicode.Bidi_Control, unicode.Prepended_Concatenation_Mark)
}

// validate says why a name in canonical form cannot be one.
func validate(name string) error {
	switch {
	case name == "":
		return reason(ErrBadRoom, "it is empty")
	case len(name) > MaxNameLength:
		return reason(ErrBadRoom, fmt.Sprintf("it has %d bytes, the most is %d", len(name), MaxNameLength))
	}
	for _, r := range name {
		if !allowed(r) {
			return reason(ErrBadRoom, fmt.Sprintf("it holds the character %+q", r))
		}
	}
	last := ""
	for element := range strings.SplitSeq(name, "/") {
		if element == "" {
			return reason(ErrBadRoom, "it holds an empty element")
		}
		if element[0] == '.' {
			return reason(ErrBadRoom, "an element begins with a dot")
		}
		last = element
	}
	return checkLast(last, len(last) == len(name))
}

// allowed leaves out what ends the path of a URL (?, #), is read in two ways (%, \) or makes a log
// line lie.
func allowed(r rune) bool {
	return !strings.ContainsRune(`?#%\`, r) && r != utf8.RuneError &&
		!unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// checkLast refuses a last element that would give the stream the URL of a file of another one.
func checkLast(element string, only bool) error {
	if element == "index" {
		return reason(ErrBadRoom, `its last element is "index"`)
	}
	if strings.HasPrefix(element, "index-") {
		return reason(ErrBadRoom, `its last element begins with "index-"`)
	}
	if !only && strings.Trim(element, "0123456789") == "" {
		return reason(ErrBadRoom, "its last element is all digits")
	}
	for _, suffix := range []string{".flv", ".m3u8", ".ts", ".m4s", ".mp4"} {
		if strings.HasSuffix(element, suffix) {
			return reason(ErrBadRoom, "it ends in "+suffix)
		}
	}
	return nil
}

func reason(err error, why string) error { return fmt.Errorf("%w: %s", err, why) }
