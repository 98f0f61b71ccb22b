#!/usr/bin/env bash
# One stage as an array of jobs: each does its share, and takes over what others leave undone.
#   job=$(sbatch --parsable --array=0-7 mine.sh)
#   sbatch --dependency=afterok:$job mine.sh
#SBATCH --job-name=hnmine
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --requeue
set -euo pipefail

# An array of N jobs is numbered from 0; without one, this job ends the run.
if [[ -n "${SLURM_ARRAY_TASK_ID:-}" ]]; then
    share=(--task "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT")
else
    share=(--finish)
fi

# The directories must be on a file system that all machines share, with locks, or at a URL.
exec hnmine mine --index "$RUN/index" --pairs "$RUN/pairs.parquet" --output "$RUN/candidates" \
    --threads "${SLURM_CPUS_PER_TASK:-1}" "${share[@]}"
