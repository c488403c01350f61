package fanout

import (
	"testing"
	"time"

	"livego/internal/live"
)

// machine is a computer with two processors on which a given load costs CPU time.
type machine struct {
	now  time.Time
	used time.Duration
	// base is the share of the processors that is used whatever the delay, perWrite the CPU time of
	// the writes of one pass.
	base     float64
	perWrite time.Duration
	late     time.Duration
}

const picture = 33 * time.Millisecond

func (m *machine) pace(least, most time.Duration) *pace {
	p := newPace(least, most)
	p.cpu = func() time.Duration { return m.used }
	p.procs = func() int { return 2 }
	return p
}

// run lets time pass and returns the delay then, and the largest share of the processors in the
// last second.
func (m *machine) run(p *pace, d time.Duration) (delay time.Duration, share float64) {
	last, lastUsed := m.now, m.used
	for end := m.now.Add(d); m.now.Before(end); {
		step := max(p.wait(m.now), picture)
		m.now = m.now.Add(step)
		m.used += time.Duration(m.base*2*float64(step)) + min(m.perWrite, 2*step)
		p.began(m.late)
		if m.now.Sub(last) > time.Second {
			share = float64(m.used-lastUsed) / float64(2*m.now.Sub(last))
			last, lastUsed = m.now, m.used
		}
	}
	return p.wait(m.now), share
}

func TestPaceStaysBetweenItsBounds(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name        string
		least, most time.Duration
		machine     machine
		want        time.Duration
	}{
		{"off", 0, 0, machine{perWrite: 100 * ms}, 0},
		{"idle", 0, 100 * ms, machine{perWrite: ms}, 0},
		{"full of work that does not become less", 0, 100 * ms, machine{base: 1}, 100 * ms},
		{"full of other processes", 0, 100 * ms, machine{late: 20 * ms}, 100 * ms},
		{"late now and then", 0, 100 * ms, machine{late: 5 * ms}, 0},
		{"least while idle", 40 * ms, 100 * ms, machine{}, 40 * ms},
		{"forced while idle", 100 * ms, 100 * ms, machine{}, 100 * ms},
		{"forced while full", 100 * ms, 100 * ms, machine{base: 1}, 100 * ms},
		{"most below least", 100 * ms, 0, machine{}, 100 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.machine.now = time.Unix(1000, 0)
			if delay, _ := tc.machine.run(tc.machine.pace(tc.least, tc.most), 20*time.Second); delay != tc.want {
				t.Errorf("waits %v, want %v", delay, tc.want)
			}
		})
	}
}

// TestPaceFollowsTheLoad: it waits no longer than the load asks for, stays there, and does not wait
// any more when the load is gone.
func TestPaceFollowsTheLoad(t *testing.T) {
	m := &machine{now: time.Unix(1000, 0), base: 0.1, perWrite: 56 * time.Millisecond}
	p := m.pace(0, 100*time.Millisecond)
	first, share := m.run(p, 10*time.Second)
	if first < picture || first >= 100*time.Millisecond || share > paceBusy/100.0 || share < paceIdle/100.0 {
		t.Errorf("waits %v with %.2f of the processors in use", first, share)
	}
	for range 10 {
		if delay, _ := m.run(p, time.Second); delay != first {
			t.Errorf("the delay moves from %v to %v under the same load", first, delay)
		}
	}
	m.perWrite = 10 * time.Millisecond
	if delay, _ := m.run(p, 3*time.Second); delay != 0 {
		t.Errorf("still waits %v after the load", delay)
	}
}

// TestPaceAfterAPause: what was used while nobody delivered says nothing about now.
func TestPaceAfterAPause(t *testing.T) {
	m := &machine{now: time.Unix(1000, 0)}
	p := m.pace(0, 100*time.Millisecond)
	m.run(p, time.Second)
	m.now, m.used = m.now.Add(time.Minute), m.used+2*time.Minute
	if delay := p.wait(m.now); delay != 0 {
		t.Errorf("waits %v", delay)
	}
}

// TestFeedWaitsAsThePaceSays delivers with forced batching: every unit comes, in fewer passes.
func TestFeedWaitsAsThePaceSays(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1, MinBatch: 50 * time.Millisecond, MaxBatch: 50 * time.Millisecond})
	src.headers()
	src.steps(1)
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	watched := watching(t, client)
	eventually(t, "the player begins", func() bool { return p.Stats().Audio == 100 })
	begin := time.Now()
	for i := range 3 {
		src.step()
		eventually(t, "the picture comes", func() bool { return p.Stats().Audio == uint64(100*(i+2)) })
	}
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("three pictures came within %v", took)
	}
	src.pub.Unpublish()
	_ = wait(t, p)
	server.Close()
	if c := <-watched; c.messages != 8 || c.gaps != 0 {
		t.Errorf("%d messages, %d gaps", c.messages, c.gaps)
	}
	f.Wait()
}
