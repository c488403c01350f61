package keys

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestCanonicalName(t *testing.T) {
	tests := []struct {
		name string
		ok   bool
	}{
		{"movie", true},
		{"a/b", true},
		{"index/a", true},
		{"index-v0/a", true},
		{"7/a", true},
		{"room-1_x.y", true},
		{"4k", true},
		{"7", true}, // /app/7.m3u8 and /app/7/index.m3u8 are files of no other stream
		{"0123", true},
		{"index2", true},
		{"a.ts/b", true},
		{"my stream", true},
		{"a..b", true},
		{"flv", true},
		{"фильм/電影/🎬", true},
		{strings.Repeat("a", 255), true},

		{"", false},
		{strings.Repeat("a", 256), false},
		{"/a", false},
		{"a/", false},
		{"a//b", false},
		{"..", false},
		{"../../../pwned", false},
		{"a/../b", false},
		{".", false},
		{"a/.hidden", false},
		{"a\\b", false},
		{"a\x00b", false},
		{"a\nb", false},
		{"a\x7f", false},
		{"a\u0085b", false}, // NEL, a C1 control
		{"a\u2028b", false}, // line separator
		{"a\u202eb", false}, // right-to-left override
		{"a\ufffdb", false},
		{"a\xffb", false},
		{"a?b", false},
		{"a#b", false},
		{"100%", false},
		{"%zz", false},
		{"index", false},
		{"a/index", false},
		{"index-v0", false},
		{"a/index-", false},
		{"a/0123", false},
		{"a.flv", false},
		{"a.m3u8", false},
		{"a/1.ts", false},
		{"a/1.m4s", false},
		{"a/init.mp4", false},
	}
	for _, tt := range tests {
		got, err := CanonicalName(tt.name)
		if tt.ok && (err != nil || got != tt.name) || !tt.ok && !errors.Is(err, ErrBadRoom) {
			t.Errorf("%+q: %+q, %v, want ok = %v", tt.name, got, err, tt.ok)
		}
	}
}

// Names that look the same are the same.
func TestCanonicalNameIsWhatIsSeen(t *testing.T) {
	for given, want := range map[string]string{
		"cafe\u0301":                        "caf\u00e9",
		"\u1100\u1161":                      "\uac00", // Hangul, as macOS writes it
		"\u212b":                            "\u00c5",
		"mo\u200bvie":                       "movie", // zero-width space
		"\ufeffmovie":                       "movie", // byte order mark
		"mo\u00advie":                       "movie", // soft hyphen
		"mo\u2060vie\u034f":                 "movie",
		"movie\U000e0041":                   "movie", // a tag
		"movie\u3164":                       "movie", // Hangul filler, a letter for Unicode
		"می\u200cخواهم":                     "میخواهم",
		"\u2764\ufe0f":                      "\u2764",
		"e\u200b\u0301":                     "\u00e9",
		" movie\r\n":                        "movie",
		"\u00a0my\u2003stream\u2800":        "my stream",
		"a / b":                             "a/b",
		strings.Repeat("e\u0301", 127):      strings.Repeat("\u00e9", 127),
		strings.Repeat("\u200b", 200) + "a": "a",
	} {
		if got, err := CanonicalName(given); err != nil || got != want {
			t.Errorf("%+q: %+q, %v, want %+q", given, got, err, want)
		}
	}
	for _, bad := range []string{"\u200b", "\u00a0", "a/\u200b/b", "\u200b.a", "a/ 7", "a\u200b/7", "a.f\u00adlv", strings.Repeat("\u200b", 1000)} {
		if got, err := CanonicalName(bad); !errors.Is(err, ErrBadRoom) {
			t.Errorf("%+q: %+q, %v", bad, got, err)
		}
	}
}

// A client may have put a key where a name belongs.
func TestNameErrorsDoNotHoldTheName(t *testing.T) {
	secret := strings.Repeat("s3cret", 8)
	for _, name := range []string{secret + "?x=1", secret + "/", secret + ".flv", "." + secret, strings.Repeat(secret, 10), secret + "\xff", secret + "/index"} {
		if _, err := CanonicalName(name); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What is valid stays inside a folder, keeps the files of streams apart, however it is cut, and is
// the only form of itself.
func FuzzCanonicalName(f *testing.F) {
	for _, name := range []string{"movie", "a/b", "..", "a/../b", "a/7", "a/index", "a\x00", "a.flv", "é/.b", "%2e", "e\u0301", "\u200b. a/\u0338"} {
		f.Add(name)
	}
	valid := func(name string) bool {
		_, err := CanonicalName(name)
		return err == nil
	}
	f.Fuzz(func(t *testing.T, given string) {
		name, err := CanonicalName(given)
		if err != nil {
			return
		}
		if len(name) == 0 || len(name) > 255 || !utf8.ValidString(name) || strings.ContainsAny(name, "?#%\\\x00\r\n") {
			t.Errorf("accepted %+q", name)
		}
		for element := range strings.SplitSeq(name, "/") {
			if element == "" || strings.HasPrefix(element, ".") || strings.TrimSpace(element) != element {
				t.Errorf("accepted %+q", name)
			}
		}
		if again, err := CanonicalName(name); err != nil || again != name || Normal(name) != name {
			t.Errorf("%+q becomes %+q, %v", name, again, err)
		}
		if strings.ContainsFunc(name, unseen) || !norm.NFC.IsNormalString(name) {
			t.Errorf("%+q is not canonical", name)
		}
		if valid(name+"/") || valid("/"+name) || valid(name+".flv") || valid(name+"/7") {
			t.Errorf("%+q: a file of this stream is a valid name", name)
		}
	})
}

func TestNewKeysUseAllCharactersEvenly(t *testing.T) {
	const n = 20000
	counts := map[rune]int{}
	seen := map[string]bool{}
	for range n {
		key := newKey()
		if seen[key] || !WellFormed(key) || len(key) != 48 {
			t.Fatalf("key %q", key)
		}
		seen[key] = true
		for _, r := range key {
			counts[r]++
		}
	}
	// The chi-square value for 61 degrees of freedom passes 140 once in ten million runs; taking
	// bytes modulo 62 gives over 3000.
	want, chi := float64(n*48)/62, 0.0
	for _, r := range alphanumerics {
		d := float64(counts[r]) - want
		chi += d * d / want
	}
	if len(counts) != 62 || chi > 140 {
		t.Errorf("%d characters, chi-square %.0f", len(counts), chi)
	}
}
