package http1

import (
	"slices"
	"time"
)

// This file is who waits for what, and how they get it when it is there.

// waitList are the requests that wait for the same.
type waitList struct{ all []*exchange }

func (w *waitList) add(x *exchange) {
	x.list, x.place = w, len(w.all)
	w.all = append(w.all, x)
}

// enlist lets a request wait for change.
func (l *loop) enlist(x *exchange, change <-chan struct{}) {
	list := l.waits[change]
	if list == nil {
		list = new(waitList)
		l.waits[change] = list
		l.watchers.Go(func() {
			select {
			case <-change:
				l.post(func() { l.resume(change) })
			case <-l.stop:
			}
		})
	}
	list.add(x)
}

// remove takes a request out.
func (w *waitList) remove(x *exchange) {
	last := len(w.all) - 1
	w.all[x.place] = w.all[last]
	w.all[x.place].place = x.place
	w.all[last] = nil
	w.all = w.all[:last]
	x.list = nil
}

// wave is those who waited for the same, which is there: what is left of them to be answered.
type wave struct {
	// list are those whose turn it is, behind those who get what is short.
	list, behind waitList
	shared       map[question]*shared
}

// resume goes on with the requests that waited for change: first with those for media, for players
// wait to show these. Of playlists, which are short, they need the next one only.
func (l *loop) resume(change <-chan struct{}) {
	list := l.waits[change]
	delete(l.waits, change)
	v := &wave{shared: make(map[question]*shared)}
	for _, x := range slices.Backward(list.all) { // the last one is the first to be answered
		v.list.add(x)
	}
	l.waves = append(l.waves, v)
	l.answerWaves()
}

// answerWaves answers those who waited, for a while: what others have asked for comes in between.
// One client alone may have thousands of requests that wait for as many copies of a part.
func (l *loop) answerWaves() {
	if len(l.waves) == 0 {
		return
	}
	l.resuming = true
	for until := time.Since(l.begun) + l.waveTime; len(l.waves) > 0 && l.answerWave(l.waves[0], until); {
		l.waves[0] = nil
		l.waves = l.waves[1:]
	}
	l.flush()
	l.resuming, l.shared = false, nil
}

// answerWave says whether all of them were answered.
func (l *loop) answerWave(v *wave, until time.Duration) bool {
	l.shared = v.shared
	for n := 1; len(v.list.all)+len(v.behind.all) > 0; n++ {
		if n%waveLook == 0 && time.Since(l.begun) >= until {
			return false
		}
		list := &v.list
		if len(list.all) == 0 {
			list = &v.behind
		}
		x := list.all[len(list.all)-1]
		list.remove(x)
		switch s := l.shared[x.asks()]; {
		case s == nil:
			x.serve(Waiting)
		case s.size <= joined && list == &v.list:
			v.behind.add(x)
		default:
			x.takeShared(s)
		}
	}
	return true
}
