package keys

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidateName(t *testing.T) {
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
		{"می\u200cخواهم", true}, // a zero-width non-joiner, which Persian needs
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
		err := ValidateName(tt.name)
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrBadRoom) {
			t.Errorf("%+q: %v, want ok = %v", tt.name, err, tt.ok)
		}
	}
}

// A client may have put a key where a name belongs.
func TestNameErrorsDoNotHoldTheName(t *testing.T) {
	secret := strings.Repeat("s3cret", 8)
	for _, name := range []string{secret + "?x=1", secret + "/", secret + ".flv", "." + secret, strings.Repeat(secret, 10), secret + "\xff", secret + "/index"} {
		if err := ValidateName(name); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What is valid stays inside a folder and keeps the files of streams apart, however it is cut.
func FuzzValidateName(f *testing.F) {
	for _, name := range []string{"movie", "a/b", "..", "a/../b", "a/7", "a/index", "a\x00", "a.flv", "é/.b", "%2e"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if ValidateName(name) != nil {
			return
		}
		if len(name) == 0 || len(name) > 255 || !utf8.ValidString(name) || strings.ContainsAny(name, "?#%\\\x00\r\n") {
			t.Errorf("accepted %+q", name)
		}
		for element := range strings.SplitSeq(name, "/") {
			if element == "" || strings.HasPrefix(element, ".") {
				t.Errorf("accepted %+q", name)
			}
		}
		if ValidateName(name+"/") == nil || ValidateName("/"+name) == nil || ValidateName(name+".flv") == nil || ValidateName(name+"/7") == nil {
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
		if seen[key] || !wellFormed(key) || len(key) != 48 {
			t.Fatalf("key %q", key)
		}
		seen[key] = true
		for _, r := range key {
			counts[r]++
		}
	}
	// The chi-square value for 61 degrees of freedom passes 140 once in ten million runs; taking bytes modulo 62 gives over 3000.
	want, chi := float64(n*48)/62, 0.0
	for _, r := range alphanumerics {
		d := float64(counts[r]) - want
		chi += d * d / want
	}
	if len(counts) != 62 || chi > 140 {
		t.Errorf("%d characters, chi-square %.0f", len(counts), chi)
	}
}
