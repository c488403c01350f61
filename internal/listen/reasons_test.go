package listen

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestReasons keeps why proofs were not believed, once each and bounded, and changes no answer.
func TestReasons(t *testing.T) {
	refused := func(how string) string {
		return fmt.Sprintf(`{"status":"invalid","challenges":[{"type":"http-01","error":{"detail":%q}},{"type":"dns-01"}]}`, how)
	}
	big := `{"x":"` + strings.Repeat("y", 2*maxAuthorization) + `"}`
	for _, c := range []struct {
		name, kind string
		bodies     []string
		want       string
	}{
		{"one", "application/json", []string{refused("refused"), refused("refused")}, "http-01: refused"},
		{"a problem of an order", "application/json", []string{`{"error":{"detail":"no such order"}}`}, "no such order"},
		{"several", "application/json", []string{refused("a"), refused("b")}, "http-01: a; http-01: b"},
		{"long", "application/json", []string{refused(strings.Repeat("x", 1000))}, "http-01: " + strings.Repeat("x", maxReason-9)},
		{"none", "application/json", []string{`{"status":"valid"}`, `[]`, big}, ""},
		{"a certificate", "application/pem-certificate-chain", []string{refused("no")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = io.WriteString(w, body)
			}))
			defer s.Close()
			r := new(reasons)
			client := http.Client{Transport: r}
			defer client.CloseIdleConnections()
			for _, body = range c.bodies {
				answer, err := client.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || string(got) != body {
					t.Errorf("%d bytes came of %d: %v", len(got), len(body), err)
				}
			}
			if got := r.take(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if again := r.take(); again != "" {
				t.Errorf("again: %q", again)
			}
		})
	}
}
