package rtmp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fromHex decodes hexadecimal digits with spaces between them. A part like 128*aa stands for so
// many repetitions.
func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	for _, part := range strings.Fields(s) {
		n := 1
		if count, rest, ok := strings.Cut(part, "*"); ok {
			part = rest
			n = 0
			for _, d := range count {
				n = 10*n + int(d-'0')
			}
		}
		p, err := hex.DecodeString(part)
		if err != nil {
			t.Fatalf("test bytes %q: %v", part, err)
		}
		b = append(b, bytes.Repeat(p, n)...)
	}
	return b
}
