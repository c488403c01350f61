package rtmp

import (
	"errors"
	"strings"
	"testing"
)

const (
	adobeWithOpaque = "dr3Vr/M3wbFQNP2zZCcBPw=="
	adobeWithout    = "yqgoGAOIG/hxdQl2x6krpA=="
	limelight       = "a49b4a460f7118e56fe845311acebaec"
)

// TestAuthAnswers: the queries that servers wait for. The expected ones were worked out by hand
// with md5sum and base64, as the schemes are described by encoders that speak them.
func TestAuthAnswers(t *testing.T) {
	u := URL{App: "live", User: "joe", Password: "secret"}
	for name, c := range map[string]struct{ said, want string }{
		"asked": {"[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ", "authmod=adobe&user=joe"},
		"adobe": {
			"[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=joe&salt=SALT==&challenge=CHAL==&opaque=OPAQ==",
			"authmod=adobe&user=joe&challenge=01234567&response=" + adobeWithOpaque + "&opaque=OPAQ==",
		},
		"adobe without opaque": {
			"[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=joe&salt=SALT==&challenge=CHAL==",
			"authmod=adobe&user=joe&challenge=01234567&response=" + adobeWithout,
		},
		"limelight asked": {"[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ]", "authmod=llnw&user=joe"},
		"limelight": {
			"[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=joe&nonce=NONCE",
			"authmod=llnw&user=joe&nonce=NONCE&cnonce=01234567&nc=00000001&response=" + limelight,
		},
	} {
		got, err := nextAuth(u, c.said, "01234567")
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	for _, said := range []string{
		"", "no", "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=x",
		"[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=nosuchuser", "authmod=kerberos",
	} {
		if got, err := nextAuth(u, said, "01234567"); !errors.Is(err, ErrAuth) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, %v", said, got, err)
		}
	}
}

func TestWithAuth(t *testing.T) {
	u := URL{App: "live?x=1", TCURL: "rtmp://h/live?x=1"}.withAuth("authmod=adobe")
	if u.App != "live?x=1&authmod=adobe" || u.TCURL != "rtmp://h/live?x=1&authmod=adobe" {
		t.Errorf("%+v", u)
	}
}
