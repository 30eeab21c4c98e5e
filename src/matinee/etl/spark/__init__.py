"""The transform on a Spark cluster: the same rules and the same bytes as on one machine (docs/spark.md).

The rows are read by the same kernel, the splits decided by the same functions. What differs is who sorts, numbers and
counts. Every step writes its result as parts into a folder that the driver and all workers share; a part appears whole
(written aside, then renamed), so that a task may run twice, and a worker may die at any moment.
"""
