"""The keyed steps: pure functions over one shard, tables in and tables out."""
