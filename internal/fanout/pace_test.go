package fanout

import (
	"testing"
	"time"
)

func TestPaceStaysBetweenItsBounds(t *testing.T) {
	const picture = 33 * time.Millisecond
	for _, tc := range []struct {
		name        string
		least, most time.Duration
		pass        time.Duration
		want        time.Duration
	}{
		{"off", 0, 0, 30 * time.Millisecond, 0},
		{"idle", 0, 100 * time.Millisecond, time.Millisecond, 0},
		{"busy", 0, 100 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond},
		{"least while idle", 40 * time.Millisecond, 100 * time.Millisecond, time.Millisecond, 40 * time.Millisecond},
		{"forced while idle", 100 * time.Millisecond, 100 * time.Millisecond, time.Millisecond, 100 * time.Millisecond},
		{"forced while busy", 100 * time.Millisecond, 100 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond},
		{"most below least", 100 * time.Millisecond, 0, time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPace(tc.least, tc.most)
			now := time.Unix(1000, 0)
			for range 50 {
				now = now.Add(max(p.hold(now), picture, tc.pass))
				p.passed(now, now.Add(tc.pass))
			}
			if p.delay != tc.want {
				t.Errorf("waits %v, want %v", p.delay, tc.want)
			}
			if hold := p.hold(now.Add(tc.want / 4)); hold != tc.want-tc.want/4 {
				t.Errorf("holds back for %v after a quarter of %v", hold, tc.want)
			}
		})
	}
}
