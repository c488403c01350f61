package flv

import (
	"testing"
	"time"
)

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// TestTime checks the unwrapping of 32-bit times, and that what they say is passed on.
func TestTime(t *testing.T) {
	type at struct {
		messageType uint8
		in          uint32
		want        int64
	}
	const wrap = 1 << 32
	for _, c := range []struct {
		name  string
		times []at
	}{
		{"from any start", []at{{9, 5000, 5000}, {9, 5040, 5040}, {8, 5021, 5021}}},
		{"over the wrap", []at{{9, wrap - 20, wrap - 20}, {8, wrap - 1, wrap - 1}, {9, 20, wrap + 20}, {8, 22, wrap + 22}}},
		{"out of order at the wrap", []at{{9, wrap - 20, wrap - 20}, {8, 1, wrap + 1}, {9, wrap - 1, wrap - 1}, {8, 3, wrap + 3}}},
		{"twice over the wrap", []at{
			{9, wrap - 1, wrap - 1}, {9, 0x70000000, wrap + 0x70000000}, {8, 0x70000000, wrap + 0x70000000},
			{9, 0xe0000000, wrap + 0xe0000000}, {8, 0xe0000000, wrap + 0xe0000000}, {9, 1, 2*wrap + 1},
		}},
		{"wrong times that go round the circle do not move the clock", []at{
			{9, 5000, 5000}, {9, 0x60000000, 0x60000000}, {9, 0xc0000000, 0xc0000000 - wrap}, {9, 5080, 5080}, {8, 0x80001400, 0x80001400 - wrap}, {9, 5120, 5120},
		}},
		{"jitter of one track", []at{{9, 100, 100}, {9, 60, 60}, {9, 140, 140}}},
		{"no jitter between tracks", []at{{9, 100, 100}, {8, 60, 60}, {9, 140, 140}}},
		{"a jump back is passed on", []at{{9, 5000, 5000}, {9, 3999, 3999}, {9, 4039, 4039}}},
		{"a restart from 0", []at{{9, 50000, 50000}, {8, 50000, 50000}, {9, 0, 0}, {8, 0, 0}, {9, 40, 40}}},
		{"a jump forward is passed on", []at{{9, 0, 0}, {9, 1 << 30, 1 << 30}, {9, 1<<30 + 40, 1<<30 + 40}}},
		{"below 0, for a start near the wrap", []at{{9, 10, 10}, {8, wrap - 10, -10}}},
		{"of two speeds, over days", []at{
			{9, 0, 0}, {8, 0, 0}, {9, 40, 40}, {8, 0x40000000, 0x40000000}, {8, 0x40000040, 0x40000040}, {9, 80, 80}, {8, 0x7fffffff, 0x7fffffff},
			{8, 0x80000010, 0x80000010}, {9, 120, 120}, {8, 0xc0000000, 0xc0000000}, {8, 0xc0000010, 0xc0000010}, {9, 160, 160}, {8, 5, wrap + 5}, {9, 200, 200},
		}},
		{"metadata at 0 in the middle does not move the clock", []at{{9, 50000, 50000}, {18, 0, 50000}, {9, 50040, 50040}, {18, 50030, 50030}}},
		{"metadata at 0 before media near the wrap", []at{{18, 0, 0}, {9, wrap - 10, wrap - 10}, {18, 5, wrap + 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Demuxer
			bodies := map[uint8][]byte{8: unhex(t, "af 01 aa"), 9: unhex(t, "17 01 000000 aa"), 18: unhex(t, "02 000a 'onMetaData'")}
			for i, a := range c.times {
				if u := one(t, &d, a.messageType, a.in, bodies[a.messageType]); u.DTS != ms(a.want) || u.PTS != u.DTS {
					t.Fatalf("message %d: DTS %v, PTS %v, want %v", i, u.DTS, u.PTS, ms(a.want))
				}
			}
		})
	}
}

// TestTimeOverflow checks that a peer which jumps by weeks with each message cannot overflow the
// time.
func TestTimeOverflow(t *testing.T) {
	var d Demuxer
	body := unhex(t, "17 01 000000 aa")
	for i := range uint32(10000) {
		if u := one(t, &d, 9, i*0x7fffffff, body); u.DTS < -ms(maxTime) || u.DTS > ms(maxTime) {
			t.Fatalf("message %d: %v", i, u.DTS)
		}
	}
}
