"""The memory model: from a shape to bytes. It computes only; the walk that collects shapes is in rdb."""
