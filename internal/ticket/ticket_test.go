package ticket

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secret = "0123456789abcdef0123456789abcdef"

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("2001:db8::1")
	noon  = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
)

// write puts a key into a PEM file.
func write(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// pair makes a key pair of each kind, as files.
func pair(t testing.TB, algorithm string) (private, public string) {
	t.Helper()
	var signer, verifier any
	switch algorithm {
	case "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, verifier = k, &k.PublicKey
	case "RS256":
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		signer, verifier = k, &k.PublicKey
	default:
		p, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, verifier = k, p
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	private = write(t, "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(verifier)
	public = write(t, "PUBLIC KEY", der, err)
	return private, public
}

func newChecker(t testing.TB, max time.Duration, keys ...KeyOptions) *Checker {
	t.Helper()
	c, err := New(Options{Keys: keys, SessionMax: max})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shared(id string) KeyOptions { return KeyOptions{ID: id, Algorithm: "HS256", Secret: secret} }

// forge signs whatever claims and header a test wants.
func forge(t testing.TB, method jwt.SigningMethod, with any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAlgorithms: what one server signs with a private key another one checks with the public one.
func TestAlgorithms(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			signing, checking := KeyOptions{ID: "k", Algorithm: algorithm, Secret: secret}, KeyOptions{ID: "k", Algorithm: algorithm, Secret: secret}
			if !strings.HasPrefix(algorithm, "HS") {
				signing.File, checking.File = pair(t, algorithm)
			}
			c := newChecker(t, 0, signing)
			token, jti, err := c.Sign(Wanted{Paths: []string{"live/movie"}, Start: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []*Checker{c, newChecker(t, 0, checking)} {
				if g, err := c.Check(token, "live/movie", here); err != nil || g.ID != jti {
					t.Errorf("%+v, %v", g, err)
				}
			}
			if _, _, err := newChecker(t, 0, checking).Sign(Wanted{}); !strings.HasPrefix(algorithm, "HS") && !errors.Is(err, ErrNoKey) {
				t.Errorf("signing with a public key: %v", err)
			}
		})
	}
}

// TestForgeries: tokens of every wrong kind.
func TestForgeries(t *testing.T) {
	private, public := pair(t, "RS256")
	publicPEM, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker(t, 0, shared("shared"), KeyOptions{ID: "rsa", Algorithm: "RS256", File: private})
	good := jwt.MapClaims{"sub": "live/movie"}
	named := func(kid any) map[string]any { return map[string]any{"kid": kid} }
	valid := forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), good)
	if _, err := c.Check(valid, "live/movie", here); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]struct {
		token string
		want  error
	}{
		"none":                   {"", ErrMissing},
		"garbage":                {"abc", ErrMalformed},
		"two parts":              {"abc.def", ErrMalformed},
		"too long":               {valid + strings.Repeat("x", 9<<10), ErrMalformed},
		"algorithm none":         {forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, named("shared"), good), ErrSignature},
		"HS256 with public key":  {forge(t, jwt.SigningMethodHS256, publicPEM, named("rsa"), good), ErrSignature},
		"another HS":             {forge(t, jwt.SigningMethodHS512, []byte(secret), named("shared"), good), ErrSignature},
		"another secret":         {forge(t, jwt.SigningMethodHS256, []byte(secret+"x"), named("shared"), good), ErrSignature},
		"another key's kid":      {forge(t, jwt.SigningMethodHS256, []byte(secret), named("rsa"), good), ErrSignature},
		"unknown kid":            {forge(t, jwt.SigningMethodHS256, []byte(secret), named("../shared"), good), ErrSignature},
		"kid that is no string":  {forge(t, jwt.SigningMethodHS256, []byte(secret), named(1), good), ErrSignature},
		"no kid of several keys": {forge(t, jwt.SigningMethodHS256, []byte(secret), nil, good), ErrSignature},
		"crit":                   {forge(t, jwt.SigningMethodHS256, []byte(secret), map[string]any{"kid": "shared", "crit": []string{"exp"}}, good), ErrSignature},
		"changed":                {changed(valid, len(valid)-10), ErrSignature},
		"changed claims":         {changed(valid, len(valid)-60), ErrSignature},
		"bad address":            {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{"sub": "live/movie", "ip": "here"}), ErrMalformed},
		"exp that is no number":  {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{"sub": "live/movie", "exp": "soon"}), ErrMalformed},
		"no stream":              {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{}), ErrStream},
		"expired":                {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{"sub": "live/movie", "exp": noon.Add(-time.Minute).Unix()}), ErrExpired},
		"over":                   {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{"sub": "live/movie", "end": noon.Unix()}), ErrExpired},
		"not yet":                {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{"sub": "live/movie", "nbf": noon.Add(time.Minute).Unix()}), ErrNotYet},
		"many":                   {forge(t, jwt.SigningMethodHS256, []byte(secret), named("shared"), jwt.MapClaims{"paths": make([]string, maxPaths+1)}), ErrMalformed},
	} {
		if _, err := c.check(token.token, "live/movie", here, noon); !errors.Is(err, token.want) {
			t.Errorf("%s: %v, want %v", name, err, token.want)
		}
	}
}

// changed returns text with another character at a place.
func changed(text string, at int) string {
	other := "A"
	if text[at] == 'A' {
		other = "B"
	}
	return text[:at] + other + text[at+1:]
}

// TestSingleKeyNeedsNoKid: the usual case of one secret.
func TestSingleKeyNeedsNoKid(t *testing.T) {
	for _, kid := range []map[string]any{nil, {"kid": "whatever"}} {
		token := forge(t, jwt.SigningMethodHS256, []byte(secret), kid, jwt.MapClaims{"sub": "live/movie"})
		if _, err := newChecker(t, 0, shared("")).Check(token, "live/movie", here); err != nil {
			t.Errorf("%v: %v", kid, err)
		}
	}
}

func TestPaths(t *testing.T) {
	c := newChecker(t, 0, shared(""))
	for i, test := range []struct {
		paths  []string
		stream string
		want   bool
	}{
		{[]string{"live/movie"}, "live/movie", true},
		{[]string{"live/movie"}, "live/movies", false},
		{[]string{"live/movie"}, "live/movie/2", false},
		{[]string{"live/movie"}, "vod/movie", false},
		{[]string{"live/team/*"}, "live/team/red", true},
		{[]string{"live/team/*"}, "live/team/red/2", true},
		{[]string{"live/team/*"}, "live/team", false},
		{[]string{"live/team/*"}, "live/teams/red", false},
		{[]string{"live/*"}, "live/x", true},
		{[]string{"/*"}, "live/x", false},
		{[]string{"*"}, "live/x", false},
		{[]string{"live/a", "live/b"}, "live/b", true},
		{nil, "live/b", false},
	} {
		token, _, err := c.Sign(Wanted{Paths: test.paths})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(token, test.stream, here); (err == nil) != test.want {
			t.Errorf("%d: %q for %q: %v", i, test.paths, test.stream, err)
		}
	}
}

func TestAddress(t *testing.T) {
	c := newChecker(t, 0, shared(""))
	for _, test := range []struct {
		in, from netip.Addr
		want     bool
	}{
		{here, here, true},
		{here, netip.AddrFrom16(here.As16()), true}, // as a dual-stack socket reports it
		{here, there, false},
		{there, there, true},
		{netip.Addr{}, there, true},
		{here, netip.Addr{}, false},
	} {
		token, _, err := c.Sign(Wanted{Paths: []string{"live/movie"}, Address: test.in})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(token, "live/movie", test.from); (err == nil) != test.want {
			t.Errorf("%v from %v: %v", test.in, test.from, err)
		}
	}
}

// TestTimes: exp is the latest start, and who began in time goes on for SessionMax, but never
// beyond end.
func TestTimes(t *testing.T) {
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	type use struct {
		at   time.Duration
		want error
	}
	for name, test := range map[string]struct {
		max        time.Duration
		start, end time.Duration // after noon, 0: none
		uses       []use
		until      time.Time
	}{
		"session goes on": {12 * time.Hour, time.Minute, 0, []use{{0, nil}, {time.Hour, nil}, {11 * time.Hour, nil}, {12*time.Hour + time.Second, ErrExpired}}, at(12 * time.Hour)},
		"too late":        {12 * time.Hour, time.Minute, 0, []use{{2 * time.Minute, ErrExpired}, {time.Hour, ErrExpired}}, time.Time{}},
		"hard exp":        {0, time.Minute, 0, []use{{0, nil}, {time.Minute, nil}, {2 * time.Minute, ErrExpired}}, at(time.Minute + leeway)},
		"end":             {12 * time.Hour, time.Minute, time.Hour, []use{{0, nil}, {59 * time.Minute, nil}, {time.Hour, ErrExpired}}, at(time.Hour)},
		"end only":        {12 * time.Hour, 0, time.Hour, []use{{0, nil}, {59 * time.Minute, nil}, {time.Hour, ErrExpired}}, at(time.Hour)},
		"for ever":        {12 * time.Hour, 0, 0, []use{{0, nil}, {10_000 * time.Hour, nil}}, time.Time{}},
	} {
		c := newChecker(t, test.max, shared(""))
		w := Wanted{Paths: []string{"live/movie"}}
		if test.start > 0 {
			w.Start = at(test.start)
		}
		if test.end > 0 {
			w.End = at(test.end)
		}
		token, _, err := c.Sign(w)
		if err != nil {
			t.Fatal(err)
		}
		for i, u := range test.uses {
			g, err := c.check(token, "live/movie", here, at(u.at))
			if !errors.Is(err, u.want) {
				t.Errorf("%s, after %v: %v, want %v", name, u.at, err, u.want)
			}
			if i == 0 && err == nil && !g.Until.Equal(test.until) {
				t.Errorf("%s: until %v, want %v", name, g.Until, test.until)
			}
		}
	}
}

func TestRevoke(t *testing.T) {
	c := newChecker(t, time.Hour, shared(""))
	token, jti, err := c.Sign(Wanted{Paths: []string{"live/movie"}})
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := c.Sign(Wanted{Paths: []string{"live/movie"}})
	if _, err := c.check(token, "live/movie", here, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(jti, time.Time{}); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"", strings.Repeat("x", maxID+1)} {
		if err := c.Revoke(id, time.Time{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("revoking %d bytes: %v", len(id), err)
		}
	}
	if all := c.Revoked(); len(all) != 1 {
		t.Errorf("revoked %v", all)
	}
	if _, err := c.Check(token, "live/movie", here); !errors.Is(err, ErrRevoked) {
		t.Errorf("a known token that was revoked: %v", err)
	}
	if _, err := c.Check(other, "live/movie", here); err != nil {
		t.Errorf("another one: %v", err)
	}
	fresh := newChecker(t, time.Hour, shared(""))
	if err := fresh.Revoke(jti, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if _, err := fresh.Check(token, "live/movie", here); !errors.Is(err, ErrRevoked) {
		t.Errorf("an unknown one: %v", err)
	}
	if _, err := fresh.check(token, "live/movie", here, time.Now().Add(2*time.Hour)); err != nil {
		t.Errorf("once the revocation is over: %v", err)
	}
}

// TestMemoryIsBounded: however many tokens are used or revoked.
func TestMemoryIsBounded(t *testing.T) {
	c := newChecker(t, 0, shared(""))
	for i := range remembered + 10 {
		hash := [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		if err := c.remember(&entry{hash: hash}, noon); err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(fmt.Sprint(i), time.Now().Add(time.Hour)); (err != nil) != (i >= remembered) {
			t.Fatalf("revoking the %dth: %v", i, err)
		}
	}
	if len(c.known) != remembered || c.recent.Len() != remembered || len(c.revoked) != remembered {
		t.Errorf("%d known, %d in order, %d revoked", len(c.known), c.recent.Len(), len(c.revoked))
	}
}

func TestBadKeys(t *testing.T) {
	_, ec := pair(t, "ES256")
	_, rsaKey := pair(t, "RS256")
	junk := write(t, "JUNK", []byte("x"), nil)
	for name, keys := range map[string][]KeyOptions{
		"short":         {{Algorithm: "HS256", Secret: "short"}},
		"none":          {{Algorithm: "none", Secret: secret}},
		"unknown":       {{Algorithm: "HS1", Secret: secret}},
		"no file":       {{Algorithm: "ES256"}},
		"missing file":  {{Algorithm: "ES256", File: "/nowhere"}},
		"junk":          {{Algorithm: "ES256", File: junk}},
		"EC for RSA":    {{Algorithm: "RS256", File: ec}},
		"RSA for EC":    {{Algorithm: "ES256", File: rsaKey}},
		"RSA for EdDSA": {{Algorithm: "EdDSA", File: rsaKey}},
		"PEM as secret": {{Algorithm: "HS256", Secret: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}},
		"twice":         {shared("a"), shared("a")},
		"no name":       {shared("a"), shared("")},
		"too many":      make([]KeyOptions, maxKeys+1),
	} {
		if _, err := New(Options{Keys: keys}); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	c := newChecker(f, time.Hour, shared("a"), shared("b"))
	// The same in each of the fuzzer's processes.
	token := forge(f, jwt.SigningMethodHS256, []byte(secret), map[string]any{"kid": "a"}, jwt.MapClaims{"sub": "live/movie", "ip": here.String()})
	f.Add(token, "live/movie")
	f.Add("eyJhbGciOiJub25lIn0.e30.", "live/movie")
	f.Fuzz(func(t *testing.T, text, stream string) {
		if _, err := c.Check(text, stream, here); err == nil && (text != token || stream != "live/movie") {
			t.Errorf("%q opens %q", text, stream)
		}
	})
}

func BenchmarkKnown(b *testing.B) {
	c := newChecker(b, time.Hour, shared(""))
	token, _, err := c.Sign(Wanted{Paths: []string{"live/movie"}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Check(token, "live/movie", here); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(algorithm, func(b *testing.B) {
			o := KeyOptions{Algorithm: algorithm, Secret: secret}
			if !strings.HasPrefix(algorithm, "HS") {
				o.File, _ = pair(b, algorithm)
			}
			c := newChecker(b, time.Hour, o)
			token, _, err := c.Sign(Wanted{Paths: []string{"live/movie"}})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := c.Check(token, "live/movie", here); err != nil {
					b.Fatal(err)
				}
				clear(c.known)
				c.recent.Init()
			}
		})
	}
}

// A checker that takes the place of another one knows what was revoked, and, if it has all keys,
// lets those go on who began in time.
func TestGoOn(t *testing.T) {
	one := KeyOptions{ID: "a", Algorithm: "HS256", Secret: secret}
	two := KeyOptions{ID: "b", Algorithm: "HS256", Secret: secret + secret}
	newChecker := func(keys ...KeyOptions) *Checker {
		c, err := New(Options{Keys: keys, SessionMax: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := newChecker(one)
	sign := func() (token, jti string) {
		token, jti, err := before.Sign(Wanted{Paths: []string{"live/a"}, Start: noon})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := before.check(token, "live/a", here, noon); err != nil {
			t.Fatal(err)
		}
		return token, jti
	}
	token, _ := sign()
	revoked, jti := sign()
	before.Revoke(jti, time.Now().Add(24*time.Hour*365*100))
	for name, tc := range map[string]struct {
		keys []KeyOptions
		want error
	}{
		"the same key":    {[]KeyOptions{one}, nil},
		"one more":        {[]KeyOptions{two, one}, nil},
		"another key":     {[]KeyOptions{two}, ErrSignature},
		"of another kind": {[]KeyOptions{{ID: "a", Algorithm: "HS384", Secret: secret + secret}}, ErrSignature},
	} {
		after := newChecker(tc.keys...)
		after.GoOn(before)
		if _, err := after.check(token, "live/a", here, noon.Add(30*time.Minute)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if _, err := after.check(revoked, "live/a", here, noon); err == nil {
			t.Errorf("%s: a revoked token opens the stream", name)
		}
	}
}
