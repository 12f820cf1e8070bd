"""The memory model: from a shape to bytes. It only computes; the walk that collects shapes is in rdb."""
