package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"livego/internal/rtmp"
	"livego/internal/ticket"
	"livego/internal/watch"
)

const viewerSecret = "0123456789abcdef0123456789abcdef"

// withTokens asks viewers for tokens.
func withTokens(o *Options) {
	o.Apps[0].ViewerAuth = ViewersWithToken
	o.Tickets = ticket.Options{Keys: []ticket.KeyOptions{{ID: "a", Algorithm: "HS256", Secret: viewerSecret}}, SessionMax: time.Hour}
}

// sign makes a token.
func sign(t testing.TB, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func goodToken(t testing.TB, claims ...any) string {
	t.Helper()
	c := jwt.MapClaims{"sub": "live/movie"}
	for i := 0; i+1 < len(claims); i += 2 {
		c[claims[i].(string)] = claims[i+1]
	}
	return sign(t, jwt.SigningMethodHS256, []byte(viewerSecret), "a", c)
}

// onAirWithTokens is a server with a stream that not everybody may watch.
func onAirWithTokens(t testing.TB, change ...func(*Options)) *testServer {
	t.Helper()
	s := start(t, append([]func(*Options){withTokens, withTLS(t), func(o *Options) { o.HLSHTTP3, o.FLVTLS = true, false }}, change...)...)
	publish(t, s, "movie").perform(t, clip(t), 1)
	return s
}

var (
	uriLine = regexp.MustCompile(`(?m)^[^#\n].*$|URI="([^"]+)"`)
	toCome  = regexp.MustCompile(`(?m)^#EXT-X-PRELOAD-HINT.*$`)
)

// TestTokenReachesEverything: in front of the path it reaches all that a player asks for, without a
// byte changed.
func TestTokenReachesEverything(t *testing.T) {
	t.Parallel()
	s := onAirWithTokens(t)
	token := goodToken(t)
	other := goodToken(t, "jti", "another")
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
		client := clientOf(t, protocol)
		fetched := map[string]bool{}
		var follow func(path string)
		follow = func(path string) {
			if fetched[path] {
				return
			}
			fetched[path] = true
			a, used := fetch(t, client, s.url("https", "hls", "/~"+token+path))
			wantEqual(t, "protocol", used, protocol)
			wantEqual(t, path, a.status, 200)
			wantContains(t, "Cache-Control of "+path, a.header.Get("Cache-Control"), "private")
			bare, _ := fetch(t, client, s.url("https", "hls", path))
			wantEqual(t, path+" without token", bare.status, 403)
			wantEqual(t, "Cache-Control of a refusal", bare.header.Get("Cache-Control"), "no-store")
			if !strings.Contains(path, ".m3u8") {
				b, _ := fetch(t, client, s.url("https", "hls", "/~"+other+path))
				wantEqual(t, path+" with another token", b.body == a.body, true)
				return
			}
			for _, m := range uriLine.FindAllStringSubmatch(toCome.ReplaceAllString(a.body, ""), -1) {
				uri := m[0]
				if m[1] != "" {
					uri = m[1]
				}
				if strings.Contains(uri, "~") || strings.Contains(uri, token) {
					t.Errorf("%s names the token: %q", path, uri)
				}
				follow(resolve(t, path, uri))
			}
		}
		follow("/live/movie/index.m3u8")
		follow("/live/movie.m3u8")
		if len(fetched) < 8 {
			t.Errorf("only %d files: %v", len(fetched), fetched)
		}
	}
	if strings.Contains(s.logs.String(), token) || strings.Contains(s.logs.String(), token[:40]) {
		t.Error("the log has the token")
	}
}

// TestTokenInQueryAndHeader: a query leads to the prefix, without another host or path in front.
func TestTokenInQueryAndHeader(t *testing.T) {
	t.Parallel()
	s := onAirWithTokens(t)
	token := goodToken(t)
	client := clientOf(t, "HTTP/1.1")
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, want := range map[string]string{
		"/live/movie/index.m3u8?token=" + token + "&x=1": "../../~" + token + "/live/movie/index.m3u8?x=1",
		"/live/movie.m3u8?token=" + token:                "../~" + token + "/live/movie.m3u8",
		"/live/movie/?embed=1&token=" + token:            "../../~" + token + "/live/movie/?embed=1",
		"/live/movie/status.json?token=" + token:         "../../~" + token + "/live/movie/status.json",
	} {
		a, _ := fetch(t, client, s.url("https", "hls", path))
		wantEqual(t, "status of "+path, a.status, 302)
		wantEqual(t, "Location of "+path, a.header.Get("Location"), want)
		wantEqual(t, "Cache-Control of "+path, a.header.Get("Cache-Control"), "no-store")
	}
	for _, path := range []string{"/live/movie/index.m3u8", "/live/movie/", "/live/movie/status.json"} {
		wantEqual(t, path, call(t, "GET", s.url("https", "hls", path)).status, 403)
		a := call(t, "GET", s.url("https", "hls", path), "Authorization: bearer "+token)
		wantEqual(t, path+" with header", a.status, 200)
		if a.header.Get("Cache-Control") != "no-store" {
			wantContains(t, "Cache-Control", a.header.Get("Cache-Control"), "private")
		}
	}
	preflight := call(t, "OPTIONS", s.url("https", "hls", "/live/movie/index.m3u8"))
	wantEqual(t, "preflight", preflight.status, 204)
}

// TestPageWithToken: what a page shows beside HLS has the token too.
func TestPageWithToken(t *testing.T) {
	t.Parallel()
	s := onAirWithTokens(t)
	token := goodToken(t)
	a := call(t, "GET", s.url("https", "hls", "/~"+token+"/live/movie/status.json"))
	wantContains(t, "status", a.body, s.addr("http-flv")+"/live/movie.flv?token="+token, s.addr("rtmp")+"/live/movie?token="+token)
	wantContains(t, "Cache-Control", a.header.Get("Cache-Control"), "private")
	page := call(t, "GET", s.url("https", "hls", "/~"+token+"/live/movie/"))
	wantContains(t, "page", page.body, "/~"+token+"/live/movie/index.m3u8")
}

// TestWrongTokens: whatever is wrong with a token, no protocol plays, and all say why.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	s := onAirWithTokens(t, func(o *Options) {
		o.Tickets.Keys = append(o.Tickets.Keys, ticket.KeyOptions{ID: "b", Algorithm: "ES256", File: file})
	})
	claims := jwt.MapClaims{"sub": "live/movie"}
	wantEqual(t, "a token of the public key", call(t, "GET", s.url("https", "hls", "/~"+sign(t, jwt.SigningMethodES256, key, "b", claims)+"/live/movie.m3u8")).status, 200)
	hour := time.Now().Add(-time.Hour).Unix()
	for name, tc := range map[string]struct{ token, reason string }{
		"none at all":         {"", "a token is required"},
		"alg none":            {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "a", claims), "signature is wrong"},
		"HS with public key":  {sign(t, jwt.SigningMethodHS256, public, "b", claims), "signature is wrong"},
		"another algorithm":   {sign(t, jwt.SigningMethodHS512, []byte(viewerSecret), "a", claims), "signature is wrong"},
		"kid unknown":         {sign(t, jwt.SigningMethodHS256, []byte(viewerSecret), "c", claims), "signature is wrong"},
		"another secret":      {sign(t, jwt.SigningMethodHS256, []byte("x"+viewerSecret), "a", claims), "signature is wrong"},
		"9 KB":                {goodToken(t, "pad", strings.Repeat("x", 7<<10)), "malformed"},
		"words":               {"open-sesame", "malformed"},
		"for another stream":  {goodToken(t, "sub", "live/other"), "another stream"},
		"for another app":     {goodToken(t, "sub", "other/*"), "another stream"},
		"expired":             {goodToken(t, "exp", hour), "expired"},
		"over":                {goodToken(t, "end", hour), "expired"},
		"not yet":             {goodToken(t, "nbf", time.Now().Add(time.Hour).Unix()), "not valid yet"},
		"for another address": {goodToken(t, "ip", "192.0.2.7"), "another address"},
	} {
		prefix, query := "", ""
		if tc.token != "" {
			prefix, query = "/~"+tc.token, "?token="+tc.token
		}
		for what, a := range map[string]answer{
			"HLS":  call(t, "GET", s.url("https", "hls", prefix+"/live/movie/index.m3u8")),
			"TS":   call(t, "GET", s.url("https", "hls", "/live/movie.m3u8"+query)),
			"page": call(t, "GET", s.url("https", "hls", prefix+"/live/movie/")),
			"FLV":  call(t, "GET", s.url("http", "http-flv", "/live/movie.flv"+query)),
			"head": call(t, "GET", s.url("http", "http-flv", "/live/movie.flv"), "Authorization: Bearer "+tc.token),
		} {
			wantEqual(t, name+" over "+what, a.status, 403)
			wantContains(t, name+" over "+what, a.body, tc.reason)
			wantEqual(t, "Cache-Control of "+name+" over "+what, a.header.Get("Cache-Control"), "no-store")
			wantEqual(t, "CORS of "+name+" over "+what, a.header.Get("Access-Control-Allow-Origin"), "*")
		}
		if _, _, _, err := ws.Dial(t.Context(), s.url("ws", "http-flv", "/live/movie.flv"+query)); err == nil {
			t.Errorf("%s over WebSocket plays", name)
		}
		client, err := rtmp.Dial(t.Context(), s.url("rtmp", "rtmp", "/live/movie"+query), rtmp.ClientOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		err = client.Play(t.Context(), "")
		client.Close()
		if err == nil || !strings.Contains(err.Error(), tc.reason) && !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s over RTMP: %v", name, err)
		}
		if tc.token != "" && strings.Contains(s.logs.String(), tc.token) {
			t.Errorf("%s: the log has the token", name)
		}
	}
}

// TestTokenPlays: with a good token all protocols play, up to the hard end that it names.
func TestTokenPlays(t *testing.T) {
	t.Parallel()
	s, tags := start(t, withTokens), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:20]...)
	token := goodToken(t, "jti", "seven", "end", time.Now().Add(2*time.Second).Unix()+1)
	players := []*watcher{
		watchRTMPAt(t, s.url("rtmp", "rtmp", "/live/movie?token="+token)),
		watchFLVAt(t, s.url("http", "http-flv", "/live/movie.flv?token="+token)),
		watchFLVAt(t, s.url("http", "http-flv", "/~"+token+"/live/movie.flv")),
		watchWSAt(t, s.url("ws", "http-flv", "/live/movie.flv?video=0&token="+token)),
	}
	awaitAll(t, players, tags[19])
	for _, session := range s.Sessions() {
		if strings.Contains(session.URL, "token") || strings.Contains(session.URL, "~") {
			t.Errorf("the list shows %q", session.URL)
		}
	}
	for _, p := range players {
		receive(t, p.name+" ends", p.ended)
	}
	wantContains(t, "log", s.logs.String(), "token=seven", `reason="the token's time is over"`)
	if strings.Contains(s.logs.String(), token) {
		t.Error("the log has the token")
	}
}

// TestTokenWithoutAuth: where everybody may watch, a token changes nothing.
func TestTokenWithoutAuth(t *testing.T) {
	t.Parallel()
	s := start(t)
	publish(t, s, "movie").perform(t, clip(t), 1)
	a := call(t, "GET", s.url("http", "hls", "/~anything/live/movie/index.m3u8"))
	wantEqual(t, "status", a.status, 200)
	b := call(t, "GET", s.url("http", "hls", "/live/movie/index.m3u8?token=anything"))
	wantEqual(t, "body", a.body, b.body)
	wantEqual(t, "Cache-Control", a.header.Get("Cache-Control"), b.header.Get("Cache-Control"))
}

// TestSharedCache: where caches check tokens, they may keep answers.
func TestSharedCache(t *testing.T) {
	t.Parallel()
	s := onAirWithTokens(t, func(o *Options) { o.ViewerSharedCache = true })
	prefix := "/~" + goodToken(t)
	list := call(t, "GET", s.url("https", "hls", prefix+"/live/movie.m3u8"))
	segment := uriLine.FindString(list.body)
	a := call(t, "GET", s.url("https", "hls", resolve(t, prefix+"/live/movie.m3u8", segment)))
	wantEqual(t, "Cache-Control", a.header.Get("Cache-Control"), "public, max-age=31536000, immutable")
}

func FuzzWithoutPrefix(f *testing.F) {
	f.Add("/~a.b.c/live/movie/index.m3u8")
	f.Add("/~a%2Fb/live/x")
	f.Add("/~")
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequest("GET", "http://h"+path, nil)
		if err != nil {
			return
		}
		rest, token := withoutPrefix(normal(r))
		if token == "" {
			return
		}
		if !strings.HasPrefix(rest.URL.Path, "/") || "/~"+token+rest.URL.Path != normal(r).URL.Path {
			t.Errorf("%q gives %q and %q", path, token, rest.URL.Path)
		}
	})
}

// BenchmarkHLSEntrance is what the entrance costs in front of a playlist: without tokens, and with
// one that is known.
func BenchmarkHLSEntrance(b *testing.B) {
	for name, path := range map[string]string{"off": "/live/movie.m3u8", "token": "/~" + goodToken(b) + "/live/movie.m3u8"} {
		b.Run(name, func(b *testing.B) {
			s := open(b, func(o *Options) {
				if name == "token" {
					withTokens(o)
				}
			})
			s.watch = watch.New(watch.Options{Media: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
			r := httptest.NewRequest("GET", path, nil)
			w := httptest.NewRecorder()
			for b.Loop() {
				s.serveHLS(w, r)
			}
			wantEqual(b, "status", w.Code, 200)
			s.run()
		})
	}
}

// TestRevokeToken: what is revoked by the API ends those who watch with it, opens nothing any more,
// and stays revoked over a restart.
func TestRevokeToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "revoked.json")
	remember := func(o *Options) { o.RevokedFile = file }
	s, tags := start(t, withTokens, remember), clip(t)
	publish(t, s, "movie").send(tags[:20]...)
	tokens := s.url("http", "api", "/api/v1/tokens")
	post := func(body string) (status int, text string) {
		resp, err := httpClient().Post(tokens, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	for body, want := range map[string]int{
		`{"paths":["movie"]}`: 422, `{"paths":[]}`: 422, `{"paths":["live/movie"],"address":"x"}`: 422, `{"paths":["live/movie"],"key":"none"}`: 409,
	} {
		status, text := post(body)
		wantEqual(t, "status of "+body+": "+text, status, want)
	}
	status, text := post(`{"paths":["/live/movie"],"for":3600}`)
	wantEqual(t, "status", status, 200)
	var made struct{ ID, Token string }
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		t.Fatal(err)
	}
	flv := s.url("http", "http-flv", "/live/movie.flv?token="+made.Token)
	v := watchFLVAt(t, flv)
	v.await(t, tags[19])
	wantEqual(t, "revoking", call(t, "DELETE", tokens+"/"+made.ID).status, 204)
	receive(t, "the player ends", v.ended)
	wantContains(t, "log", s.logs.String(), "the token was revoked")
	a := call(t, "GET", flv)
	wantEqual(t, "status", a.status, 403)
	wantContains(t, "answer", a.body, "revoked")
	again := start(t, withTokens, remember)
	wantContains(t, "after a restart", call(t, "GET", again.url("http", "http-flv", "/live/movie.flv?token="+made.Token)).body, "revoked")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := testOptions()
	withTokens(&opt)
	remember(&opt)
	if _, err := New(opt); err == nil {
		t.Error("a broken file does not stop the start")
	}
}
