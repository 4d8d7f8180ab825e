package session

import (
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// expireAfter gives an entry the end that its list has for those of which nothing is said.
func expireAfter(info *ioc.Info, l *catalog.IOCList, now types.EventTime) {
	if l.ExpireAfter != 0 && info.ExpiresAt == nil {
		at := int64(now) + l.ExpireAfter
		info.ExpiresAt = &at
	}
}

// keepExpiry leaves an entry that the feed has still with the end that it had, until an eighth of its time is over: so that a refresh does not
// write the whole list.
func keepExpiry(info, old *ioc.Info, l *catalog.IOCList) {
	if l.ExpireAfter == 0 || info.ExpiresAt == nil || old.ExpiresAt == nil {
		return
	}
	if later := *info.ExpiresAt - *old.ExpiresAt; later >= 0 && later < l.ExpireAfter/8 {
		info.ExpiresAt = old.ExpiresAt
	}
}
