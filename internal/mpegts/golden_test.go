package mpegts

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livego/internal/media"
)

var update = flag.Bool("update", false, "rewrite golden files")

// dump writes a transport stream as text, one line a packet.
func dump(b []byte) string {
	var s strings.Builder
	for ; len(b) >= 188; b = b[188:] {
		p, err := readPacket(b[:188])
		fmt.Fprintf(&s, "%#04x cc=%d", p.pid, p.cc)
		if p.pcr >= 0 {
			fmt.Fprintf(&s, " pcr=%d", p.pcr)
		}
		if p.randomAccess {
			s.WriteString(" random-access")
		}
		switch {
		case err != nil:
			fmt.Fprintf(&s, " %v", err)
		case p.pid == pidPAT || p.pid == pidPMT:
			fmt.Fprintf(&s, " section % x", p.payload[1:4+p.payload[3]])
		case p.start:
			pes := p.payload
			n := 9 + int(pes[8])
			fmt.Fprintf(&s, " PES stream=%#x length=%d header=% x data=%d % x…", pes[3], int(pes[4])<<8|int(pes[5]), pes[6:n], len(pes)-n, pes[n:min(n+16, len(pes))])
		default:
			fmt.Fprintf(&s, " data=%d", len(p.payload))
		}
		s.WriteByte('\n')
	}
	return s.String()
}

func TestGolden(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	var units []media.AccessUnit
	for i := range 8 {
		u := picture(video, ms(i*40), i == 0, 120+i*70)
		u.PTS += ms(40)
		units = append(units, u)
		for at := i * 40 / 23 * 23; at < i*40+40; at += 23 {
			if at >= i*40 {
				units = append(units, sample(audio, ms(at), nalUnit(0x21, 90)))
			}
		}
	}
	got := dump(mux(t, NewMuxer(video, audio), units...))
	file := filepath.Join("testdata", "segment.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the segment differs from %s; look at it, then run with -update:\n%s", file, got)
	}
}
