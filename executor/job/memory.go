package job

import (
	"context"

	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

// OpenMemory starts an empty engine whose stores are in memory: nothing of it is left after Close. Stores, logs and checkpoints
// of cfg are set here.
func OpenMemory(cfg Config) (*Engine, error) {
	store := kv.NewMem()
	m, err := meta.Open(store)
	if err != nil {
		return nil, err
	}
	res, err := results.Open(store)
	if err != nil {
		return nil, err
	}
	cfg.Dir, cfg.KV, cfg.LogFS, cfg.Meta, cfg.Results, cfg.CheckpointEvery = "memory", store, eventlog.NewMemFS(), m, res, -1
	return Open(cfg, nil) // there is nothing to load
}

// EndTime moves the watermarks of all streams to the end of time, so that every window closes, and waits as Settle does. No
// epoch record tells of it: it is for engines that are closed and forgotten next.
func (e *Engine) EndTime(ctx context.Context) error { return e.settle(ctx, settle{end: true}) }
