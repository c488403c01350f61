package playlist

import (
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Second: "1", 18 * time.Second: "18", 200 * time.Millisecond: "0.2", 1001 * time.Millisecond: "1.001",
		21333333: "0.021333", 1500*time.Millisecond + 999: "1.500001", 999999600: "1", 10 * time.Microsecond: "0.00001",
	} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
