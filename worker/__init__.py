"""The engine room: Celery tasks, the beat, and the start of the embedded default. It holds no business."""
