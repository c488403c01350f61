package config

import (
	"slices"
	"testing"
)

func TestReloaded(t *testing.T) {
	before, _ := given{file: "level: warn\nread_timeout: 10\njwt:\n  secret: 0123456789abcdef\nhook_secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n"}.mustLoad(t)
	for name, tc := range map[string]struct {
		file        string
		taken, left []string
		holds       func(Config) bool
	}{
		"nothing": {"level: warn\nread_timeout: 10s\njwt:\n  secret: 0123456789abcdef\nhook_secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n", nil, nil,
			func(c Config) bool { return c.API.Secret == "0123456789abcdef" }},
		"secrets": {"level: warn\njwt:\n  secret: fedcba9876543210\nhook_secret: whsec_OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2\n", []string{"jwt.secret", "hook_secret"}, nil,
			func(c Config) bool { return c.API.Secret == "fedcba9876543210" }},
		"what cannot change": {"level: debug\nrtmp_addr: \":2000\"\njwt:\n  secret: 0123456789abcdef\nhook_secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n", []string{"level"}, []string{"rtmp_addr"},
			func(c Config) bool { return c.RTMPAddr == ":1935" && c.Level < 0 }},
		"apps": {"level: warn\njwt:\n  secret: 0123456789abcdef\nhook_secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\nserver:\n- appname: x\n  live: true\n", []string{"server"}, nil,
			func(c Config) bool { return len(c.Apps) == 1 && c.Apps[0].Name == "x" }},
	} {
		next, _ := given{file: tc.file}.mustLoad(t)
		merged, taken, left := before.Reloaded(next)
		if !slices.Equal(taken, tc.taken) || !slices.Equal(left, tc.left) || !tc.holds(merged) {
			t.Errorf("%s: taken %v, left %v; want %v, %v; %+v", name, taken, left, tc.taken, tc.left, merged)
		}
		// What was left is named again the next time, and what was taken is not.
		if _, taken, left := merged.Reloaded(next); len(taken) > 0 || !slices.Equal(left, tc.left) {
			t.Errorf("%s, again: taken %v, left %v", name, taken, left)
		}
	}
	if before.API.Secret != "0123456789abcdef" {
		t.Error("the configuration before has changed")
	}
}
