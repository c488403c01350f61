package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"livego/internal/ledger"
	"livego/internal/spool"
)

// openSpool opens the store of segments for rewinding, if there is to be one.
func (s *Server) openSpool() error {
	o := &s.opt
	if o.Rewind.Window <= 0 || !o.servesHLS() {
		return nil
	}
	begin := time.Now()
	rewind := o.Rewind
	rewind.Log = o.Log
	store, err := spool.Open(rewind)
	if errors.Is(err, spool.ErrInUse) {
		return fmt.Errorf("hls_dvr_window: %w: give each server a data_dir of its own", err)
	}
	if err != nil {
		return fmt.Errorf("hls_dvr_window: %w", err)
	}
	s.spool = store
	st := store.Stats()
	s.log.Info("segments for rewinding", "dir", o.Rewind.Dir, "segments", st.Segments, "bytes", st.Bytes, "took", time.Since(begin))
	return nil
}

// openLedger opens the file of the numbers of HLS segments, if there is to be one.
func (s *Server) openLedger() {
	o := ledger.Options{Log: s.log}
	if s.opt.HLSAddr != "" {
		o.Path = s.opt.HLSLedger
	}
	s.ledger = ledger.Open(o)
}

// closeDisk writes what of HLS waits for the disk, until a time.
func (s *Server) closeDisk(until time.Time) {
	defer s.closeRecorder(until)
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	if err := s.ledger.Close(ctx); err != nil {
		s.log.Error("numbers of HLS segments are lost", "error", err)
	}
	if s.spool == nil {
		return
	}
	if err := s.spool.Close(ctx); err != nil {
		s.log.Error("segments for rewinding are lost", "error", err)
	}
}
