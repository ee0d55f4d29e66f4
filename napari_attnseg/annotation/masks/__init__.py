"""Masks while they are edited: undo and redo, the journal that outlives a crash, the originals."""
