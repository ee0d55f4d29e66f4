"""A folder that is annotated: its images, its classes, and who has it open."""
