package auth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secret = "0123456789abcdef0123456789abcdef"

// guard returns the answer of a policy in front of a handler that gives away a key.
func guard(t *testing.T, o APIOptions, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	p, err := NewAPIPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "KEY") }),
		func(w http.ResponseWriter, _ *http.Request, reason string) {
			http.Error(w, reason, http.StatusForbidden)
		})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if (w.Code == http.StatusOK) != (w.Body.String() == "KEY") {
		t.Fatalf("status %d with body %q", w.Code, w.Body)
	}
	return w
}

func request(method, target, peer string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = peer
	for _, h := range headers {
		name, val, _ := strings.Cut(h, ": ")
		r.Header.Add(name, val)
	}
	return r
}

// Decision 36: what is answered without a secret.
func TestWithoutSecret(t *testing.T) {
	const local = "http://localhost:8090/control/get?room=m"
	private := []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}
	believed := Proxies{netip.MustParsePrefix("127.0.0.1/32")}
	for _, tc := range []struct {
		name    string
		request *http.Request
		allow   []netip.Prefix
		refused string // a part of the reason; empty: answered
	}{
		{"loopback", request("GET", local, "127.0.0.1:5000"), nil, ""},
		{"another loopback address", request("GET", "http://127.0.0.5:8090/", "127.0.0.5:5000"), nil, ""},
		{"IPv6 loopback", request("GET", "http://[::1]:8090/", "[::1]:5000"), nil, ""},
		{"IPv4-mapped loopback", request("GET", local, "[::ffff:127.0.0.1]:5000"), nil, ""},
		{"host in capitals without port", request("POST", "http://LocalHost/", "127.0.0.1:5000"), nil, ""},
		{"remote", request("GET", local, "192.0.2.1:5000"), nil, "own machine"},
		{"remote IPv6", request("GET", local, "[2001:db8::1]:5000"), nil, "own machine"},
		{"unknown peer", request("GET", local, "@"), nil, "address is not known"},

		{"listed network", request("GET", local, "172.17.0.1:5000"), private, ""},
		{"listed network, name of a container", request("GET", "http://livego:8090/", "172.17.0.1:5000"), private, ""},
		{"listed network, address", request("GET", "http://172.17.0.2:8090/", "172.17.0.1:5000", "User-Agent: Mozilla/5.0"), private, ""},
		{"listed network, public name", request("GET", "http://live.example/", "172.17.0.1:5000", "User-Agent: curl/8"), private, ""},
		{"listed network, name that may be rebound", request("GET", "http://live.example/", "172.17.0.1:5000", "User-Agent: Mozilla/5.0"), private, "use its address"},
		{"listed network, page of another origin", request("GET", "http://172.17.0.2/", "172.17.0.1:5000", "Referer: http://evil.example/"), private, "page of another origin"},
		{"listed network, through a proxy", request("GET", "http://172.17.0.2/", "172.17.0.1:5000", "X-Real-Ip: 192.0.2.1"), private, "trusted_proxies"},
		{"listed network, through a proxy that is believed", believed.Client(request("GET", "http://livego/", "127.0.0.1:5", "X-Forwarded-For: 172.17.0.1")), private, ""},
		{"another network, through a proxy that is believed", believed.Client(request("GET", "http://livego/", "127.0.0.1:5", "X-Forwarded-For: 192.0.2.1")), private,
			`write into livego.yaml the line api_allow: ["172.17.0.0/16", 192.0.2.1]`},
		{"this machine, through a proxy that is believed", believed.Client(request("GET", local, "127.0.0.1:5", "X-Forwarded-For: 127.0.0.1, 127.0.0.1")), nil, "proxy"},
		{"docker run -p 8090:8090", request("GET", local, "172.17.0.1:5000"), nil, `write into livego.yaml the line api_allow: [127.0.0.1, "::1", 172.17.0.1]`},
		{"docker run -p 8090:8090, key command", request("GET", local, "172.17.0.1:5000"), nil, "docker exec"},
		{"loopback that is not listed", request("GET", local, "127.0.0.1:5000"), private, "127.0.0.1 is not in api_allow"},

		{"rebound name", request("GET", "http://evil.example:8090/", "127.0.0.1:5000"), nil, "requests to localhost"},
		{"name that only begins so", request("GET", "http://localhost.evil.example/", "127.0.0.1:5000"), nil, "requests to localhost"},
		{"local network address", request("GET", "http://192.168.1.2:8090/", "127.0.0.1:5000"), nil, "requests to localhost"},
		{"unspecified address", request("GET", "http://0.0.0.0:8090/", "127.0.0.1:5000"), nil, "requests to localhost"},

		{"X-Forwarded-For", request("GET", local, "127.0.0.1:5000", "X-Forwarded-For: 127.0.0.1"), nil, "proxy (header X-Forwarded-For)"},
		{"X-Forwarded-Host", request("GET", local, "127.0.0.1:5000", "x-forwarded-host: a"), nil, "proxy"},
		{"Forwarded", request("GET", local, "127.0.0.1:5000", "Forwarded: for=127.0.0.1"), nil, "proxy"},
		{"X-Real-IP", request("GET", local, "127.0.0.1:5000", "X-Real-IP: 127.0.0.1"), nil, "proxy"},
		{"Via", request("GET", local, "127.0.0.1:5000", "Via: 1.1 proxy"), nil, "proxy"},

		{"delivery network", request("GET", local, "127.0.0.1:5000", "Cf-Connecting-Ip: 192.0.2.1"), nil, "proxy"},
		{"Envoy", request("GET", local, "127.0.0.1:5000", "x-envoy-external-address: 192.0.2.1"), nil, "proxy"},
		{"True-Client-IP", request("GET", local, "127.0.0.1:5000", "True-Client-IP: 192.0.2.1"), nil, "proxy"},
		{"X-Forwarded", request("GET", local, "127.0.0.1:5000", "X-Forwarded: 192.0.2.1"), nil, "proxy"},
		{"a program's own header", request("GET", local, "127.0.0.1:5000", "X-Request-Id: 5", "X-Foo: 7"), nil, ""},

		{"link on a foreign page, browser without Fetch Metadata", request("GET", local, "127.0.0.1:5000", "Referer: http://evil.example/x"), nil, "page of another origin"},
		{"page of another port, the same", request("GET", local, "127.0.0.1:5000", "Referer: http://localhost:80/"), nil, "page of another origin"},
		{"page that is not one", request("GET", local, "127.0.0.1:5000", "Referer: %zz"), nil, "page of another origin"},
		{"own page, the same", request("GET", local, "127.0.0.1:5000", "Referer: http://localhost:8090/statics/"), nil, ""},

		{"typed address", request("GET", local, "127.0.0.1:5000", "Sec-Fetch-Site: none"), nil, ""},
		{"own page", request("POST", local, "127.0.0.1:5000", "Sec-Fetch-Site: same-origin", "Origin: http://localhost:8090"), nil, ""},
		{"link on a foreign page", request("GET", local, "127.0.0.1:5000", "Sec-Fetch-Site: cross-site"), nil, "page of another origin"},
		{"page of another port", request("GET", local, "127.0.0.1:5000", "Sec-Fetch-Site: same-site"), nil, "page of another origin"},
		{"form on a foreign page", request("POST", local, "127.0.0.1:5000", "Origin: http://evil.example"), nil, "page of another origin"},
		{"sandboxed page", request("POST", local, "127.0.0.1:5000", "Origin: null"), nil, "page of another origin"},
		{"two origins", request("POST", local, "127.0.0.1:5000", "Origin: http://localhost:8090", "Origin: http://evil.example"), nil, "page of another origin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := guard(t, APIOptions{Allow: tc.allow, Origins: []string{"http://evil.example"}}, tc.request)
			if (w.Code == http.StatusForbidden) != (tc.refused != "") || !strings.Contains(w.Body.String(), tc.refused) {
				t.Errorf("status %d, %q; want refused with %q", w.Code, w.Body, tc.refused)
			}
			if w.Code == http.StatusForbidden && tc.allow == nil && tc.name != "unknown peer" && !strings.Contains(w.Body.String(), "JWT_SECRET") {
				t.Errorf("%q does not say how to open the API", w.Body)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("an answer without a secret is shared with another origin")
			}
		})
	}
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestToken(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	good := sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": ago(-time.Hour), "sub": 5, "aud": []any{1}})
	claims := func(c jwt.MapClaims) []string {
		return []string{"Authorization: Bearer " + sign(t, jwt.SigningMethodHS256, []byte(secret), c)}
	}
	for _, tc := range []struct {
		name    string
		target  string
		headers []string
		refused string
	}{
		{"header", "/", []string{"Authorization: Bearer " + good}, ""},
		{"scheme in lower case", "/", []string{"Authorization: bearer " + good}, ""},
		{"query", "/?jwt=" + good, nil, ""},
		{"a token without claims", "/", claims(nil), ""},
		{"expired within the leeway", "/", claims(jwt.MapClaims{"exp": ago(3 * time.Second)}), ""},
		{"through a proxy", "/", []string{"Authorization: Bearer " + good, "X-Forwarded-For: 192.0.2.1", "Origin: https://a.example"}, ""},

		{"none", "/", nil, "a token is required"},
		{"other scheme, good query", "/?jwt=" + good, []string{"Authorization: Basic YTpi"}, "must be Bearer"},
		{"no token after the scheme", "/", []string{"Authorization: Bearer"}, "must be Bearer"},
		{"garbage", "/?jwt=x", nil, "malformed"},
		{"garbage in three parts", "/?jwt=x.y.z", nil, "malformed"},
		{"long garbage", "/", []string{"Authorization: Bearer " + strings.Repeat("a.", 1<<20)}, "too long"},
		{"malformed query", "/?jwt=%zz", nil, "a token is required"},
		{"expired", "/", claims(jwt.MapClaims{"exp": ago(time.Minute)}), "expired"},
		{"not yet valid", "/", claims(jwt.MapClaims{"nbf": ago(-time.Minute)}), "not valid yet"},
		{"issued in the future", "/", claims(jwt.MapClaims{"iat": ago(-time.Minute)}), "not valid yet"},
		{"exp that is no number", "/", claims(jwt.MapClaims{"exp": "never"}), "invalid"},
		{"cut signature", "/?jwt=" + good[:len(good)-4], nil, "signature"},
		{"other secret", "/?jwt=" + sign(t, jwt.SigningMethodHS256, []byte(secret+"x"), nil), nil, "signature"},
		{"other algorithm", "/?jwt=" + sign(t, jwt.SigningMethodHS384, []byte(secret), nil), nil, "signing method"},
		{"unknown critical extension", "/?jwt=" + signCritical(t, []string{"exp", "x"}), nil, "crit"},
		{"empty list of critical extensions", "/?jwt=" + signCritical(t, []string{}), nil, "crit"},
		{"algorithm none", "/?jwt=" + sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), nil, "signing method"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := guard(t, APIOptions{Secret: secret}, request("GET", "http://live.example"+tc.target, "192.0.2.1:5000", tc.headers...))
			if (w.Code == http.StatusForbidden) != (tc.refused != "") || !strings.Contains(w.Body.String(), tc.refused) {
				t.Errorf("status %d, %q; want refused with %q", w.Code, w.Body, tc.refused)
			}
			if got := w.Header().Get("WWW-Authenticate"); (w.Code == http.StatusForbidden) != (got == "Bearer") {
				t.Errorf("WWW-Authenticate %q with status %d", got, w.Code)
			}
		})
	}
}

// signCritical returns a good token that demands extensions (RFC 7515 §4.1.11).
func signCritical(t *testing.T, extensions []string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{})
	token.Header["crit"] = extensions
	signed, err := token.SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Spec 7.3: OPTIONS needs no token, and so must not reach the handler either.
func TestDefect03JWTOptionsBypass(t *testing.T) {
	for _, o := range []APIOptions{{Secret: secret}, {}, {Secret: secret, Origins: []string{"https://a.example"}}} {
		for _, headers := range [][]string{nil, {"Origin: https://a.example", "Access-Control-Request-Method: POST"}, {"X-Http-Method-Override: GET"}} {
			w := guard(t, o, request("OPTIONS", "http://localhost:8090/control/get?room=m", "127.0.0.1:5000", headers...))
			if strings.Contains(w.Body.String(), "KEY") || w.Body.Len() > 0 && w.Code != http.StatusForbidden {
				t.Errorf("%+v %q: status %d, body %q", o, headers, w.Code, w.Body)
			}
		}
	}
}

func TestAllowWithSecret(t *testing.T) {
	o := APIOptions{Secret: secret, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}
	token, err := NewToken(secret, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]int{
		"10.1.2.3:1": 200, "[2001:db8::5]:1": 200, "[::ffff:10.0.0.1]:1": 200, "192.0.2.1:1": 403, "127.0.0.1:1": 403,
	} {
		w := guard(t, o, request("GET", "http://x/", peer, "Authorization: Bearer "+token))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", peer, w.Code, want)
		}
	}
}

func TestOrigins(t *testing.T) {
	token, err := NewToken(secret, "HS512", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	o := APIOptions{Secret: secret, Algorithm: "HS512", Origins: []string{"https://a.example"}}
	const target, peer = "http://live.example/", "192.0.2.1:1"

	w := guard(t, o, request("OPTIONS", target, peer, "Origin: https://a.example", "Access-Control-Request-Method: POST"))
	h := w.Header()
	if w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://a.example" || h.Get("Vary") != "Origin" ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: status %d, headers %v", w.Code, h)
	}
	w = guard(t, o, request("GET", target, peer, "Origin: https://a.example", "Authorization: Bearer "+token))
	if w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Errorf("listed origin: status %d, headers %v", w.Code, w.Header())
	}
	w = guard(t, o, request("GET", target, peer, "Origin: https://a.example"))
	if w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("the page cannot read why it was refused: status %d, headers %v", w.Code, w.Header())
	}
	for _, origin := range []string{"https://b.example", "http://a.example", "https://a.example.evil", "null", ""} {
		w = guard(t, o, request("OPTIONS", target, peer, "Origin: "+origin))
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("origin %q gets %s", origin, name)
			}
		}
	}
}

// TestShortSecret: LiveGo's own example has 7 bytes. It does where nobody else can call.
func TestShortSecret(t *testing.T) {
	o := APIOptions{Secret: "testkey", Short: true}
	token, err := NewToken(o.Secret, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if w := guard(t, o, request("GET", "http://localhost/", "127.0.0.1:5", "Authorization: Bearer "+token)); w.Code != http.StatusOK {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	if w := guard(t, o, request("GET", "http://localhost/", "127.0.0.1:5")); w.Code != http.StatusForbidden {
		t.Errorf("without a token: status %d, %s", w.Code, w.Body)
	}
	for addr, want := range map[string]bool{
		"127.0.0.1:8090": true, "localhost:8090": true, "[::1]:8090": true, ":8090": false, "0.0.0.0:8090": false, "[::]:8090": false, "192.0.2.1:8090": false, "": false,
	} {
		if OnlyLocal(addr) != want {
			t.Errorf("%q is for this machine only: %v", addr, !want)
		}
	}
}

func TestNewAPIPolicyRefusesWeakSettings(t *testing.T) {
	for _, o := range []APIOptions{
		{Secret: "short"},
		{Secret: secret, Algorithm: "RS256"},
		{Secret: secret, Algorithm: "none"},
		{Secret: secret, Algorithm: "hs256"},
	} {
		if _, err := NewAPIPolicy(o); err == nil || strings.Contains(err.Error(), o.Secret) {
			t.Errorf("%+v gave %v", o, err)
		}
		if _, err := NewToken(o.Secret, o.Algorithm, time.Minute); (err == nil) != (o.Secret == "short") { // the API knows whether that does
			t.Errorf("%+v signs a token: %v", o, err)
		}
	}
}
