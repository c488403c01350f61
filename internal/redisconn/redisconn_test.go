package redisconn

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func TestOpen(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"localhost:6379", "single localhost:6379 //0"},
		{":6379", "single :6379 //0"},
		{"[::1]:6379", "single [::1]:6379 //0"},
		{"redis://user:secret@host:1/2", "single host:1 user/secret/2"},
		{"redis://host", "single host:6379 //0"},
		{"unix:///run/redis.sock", "single /run/redis.sock //0"},
		{"rediss://:secret@host:1", "single host:1 /secret/0 tls"},
		{"redis+sentinel://user:secret@a:1,b:2/mymaster/3", "sentinel mymaster user/secret/3"},
		{"redis+sentinel://a:1/mymaster", "sentinel mymaster //0"},
		{"rediss+sentinel://a:1/mymaster", "sentinel mymaster //0 tls"},
		{"redis+cluster://user:secret@a:1,b:2,c:3", "cluster a:1,b:2,c:3 user/secret"},
		{"rediss+cluster://a:1/", "cluster a:1 / tls"},
		{"redis+cluster://a:1,a:1", "cluster a:1,a:1 /"},
	} {
		client, err := Open(c.address, "")
		if err != nil {
			t.Errorf("%s: %v", c.address, err)
			continue
		}
		if diff := cmp.Diff(c.want, describe(client)); diff != "" {
			t.Errorf("%s: %s", c.address, diff)
		}
		_ = client.Close()
	}
}

// describe says what a client connects to.
func describe(client redis.UniversalClient) string {
	tls := map[bool]string{true: " tls"}
	switch c := client.(type) {
	case *redis.ClusterClient:
		o := c.Options()
		return fmt.Sprintf("cluster %s %s/%s%s", strings.Join(o.Addrs, ","), o.Username, o.Password, tls[o.TLSConfig != nil])
	case *redis.Client:
		o := c.Options()
		where := "single " + o.Addr
		if o.Addr == "FailoverClient" {
			where = "sentinel mymaster"
		}
		return fmt.Sprintf("%s %s/%s/%d%s", where, o.Username, o.Password, o.DB, tls[o.TLSConfig != nil])
	}
	return "?"
}

func TestPasswordOptionGoesFirst(t *testing.T) {
	for _, address := range []string{"h:1", "redis://:other@h:1", "redis+sentinel://:other@h:1/m", "redis+cluster://:other@h:1"} {
		client, err := Open(address, "given")
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(client); !strings.Contains(got, "/given") {
			t.Errorf("%s: %s", address, got)
		}
		_ = client.Close()
	}
}

func TestBadAddresses(t *testing.T) {
	for _, address := range []string{
		"", "host", "host:", "host:x", "host:99999", "http://host:1", "redis+magic://host:1/m", "redis://host:1/x", "redis+sentinel://host:1",
		"redis+sentinel://host:1/m/x", "redis+sentinel://host:1/m/-1", "redis+sentinel:///m", "redis+sentinel://a:1,,b:2/m", "redis+sentinel://a:1,b/m",
		"redis+cluster://a:1/0", "redis+cluster://", "redis+cluster://a:1?x=y", "redis+cluster://" + strings.Repeat("a:1,", 64) + "a:1", "redis+cluster://secret@%zz:1",
	} {
		client, err := Open(address, "")
		if !errors.Is(err, ErrBadAddress) || address != "" && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%q: %v", address, err)
		}
		if client != nil {
			_ = client.Close()
		}
	}
}

func TestPrefixHasAHashTag(t *testing.T) {
	for given, want := range map[string]string{
		"": "{livego}", "a": "{a}", "{a}": "{a}", "x{a}y": "x{a}y", "{}x": "{x}", "a{b": "{ab}",
	} {
		if got := Prefix(given); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}

func TestShownAddressHasNoPassword(t *testing.T) {
	for given, want := range map[string]string{
		"h:1":                      "h:1",
		"redis://h:1/0":            "redis://h:1/0",
		"redis://user:se@cret@h:1": "redis://user:xxxxx@h:1",
		"redis+sentinel://u:secret@a:1,b:2/main/0": "redis+sentinel://u:xxxxx@a:1,b:2/main/0",
		"rediss+cluster://user@a:1,b:2":            "rediss+cluster://user@a:1,b:2",
	} {
		if got := Shown(given); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
