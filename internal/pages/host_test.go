package pages

import (
	"strings"
	"testing"
)

func TestSource(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:8090":            "ws://localhost:7001",
		"192.0.2.1":                 "ws://192.0.2.1:7001",
		"[::1]:8090":                "ws://*:7001",
		"tv_1.example:80":           "ws://tv_1.example:7001",
		"":                          "",
		"a b":                       "",
		"a;script-src *":            "",
		"[::1%25eth0]:1":            "",
		strings.Repeat("a", 254):    "",
		"evil'.example; img-src *:": "",
	} {
		if got := Source("ws", host, 7001); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
