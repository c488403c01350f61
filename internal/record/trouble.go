package record

import (
	"time"

	"livego/internal/event"
)

func (r *Recorder) tell(t event.Type, rec *recording) {
	if r.opt.Events == nil {
		return
	}
	data := told{ID: rec.ID, File: rec.Name}
	if t != event.RecordingStarted {
		data.Seconds, data.Bytes, data.Lost, data.Reason = rec.Duration, rec.Bytes, uint64(rec.Lost), rec.Reason
	}
	r.opt.Events.Emit(event.Event{Type: t, Stream: rec.Stream, Data: data})
}

// trouble is something that fails again and again: the log has its begin and its end.
type trouble struct {
	failing bool
	failed  time.Time
}

// calm is how long nothing may fail before trouble is over.
const calm = 30 * time.Second

// report logs the begin of trouble. The caller holds mu.
func (r *Recorder) report(t *trouble, err error, advice string) {
	now := time.Now()
	switch {
	case err != nil && !t.failing:
		t.failing = true
		r.log.Error(advice, "err", err)
	case err == nil && t.failing && now.Sub(t.failed) >= calm:
		t.failing = false
		r.log.Info("recordings are stored again", "lost", r.stats.Lost)
	}
	if err != nil {
		t.failed = now
	}
}
