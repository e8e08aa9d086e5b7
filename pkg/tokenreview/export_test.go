package tokenreview

// Remembered is how many decisions are.
func (r *Reviewer) Remembered() int {
	decisions := r.inForce.Load().decisions
	return decisions.allowed.table.Len() + decisions.refused.table.Len()
}

// Repeats is how many requests are remembered.
func (r *Reviewer) Repeats() int { return r.inForce.Load().decisions.repeats.Len() }
