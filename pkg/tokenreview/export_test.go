package tokenreview

// Repeats is how many requests are remembered.
func (r *Reviewer) Repeats() int { return r.inForce.Load().decisions.repeats.Len() }
