package tokenreview

// Remembered is how many decisions are.
func (r *Reviewer) Remembered() int {
	decisions := r.inForce.Load().decisions
	return decisions.allowed.table.Len() + decisions.refused.table.Len()
}

// Ending is how many times at which accepted tokens' decisions cease to hold are remembered.
func (r *Reviewer) Ending() int { return len(r.inForce.Load().decisions.allowed.ending) }

// Repeats is how many requests are remembered.
func (r *Reviewer) Repeats() int { return r.inForce.Load().decisions.repeats.Len() }
