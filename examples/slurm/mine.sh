#!/usr/bin/env bash
# Runs one stage as a job array. Each job does its share and takes over unfinished tasks.
#   job=$(sbatch --parsable --array=0-7 mine.sh)
#   sbatch --dependency=afterok:$job mine.sh
#SBATCH --job-name=hnmine
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --requeue
set -euo pipefail

# An array of N jobs is numbered from 0. Without an array, this job completes the run.
if [[ -n "${SLURM_ARRAY_TASK_ID:-}" ]]; then
    share=(--task "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT")
else
    share=(--finish)
fi

# The directories must be on a shared file system with locks, or at a URL.
exec hnmine mine --index "$RUN/index" --pairs "$RUN/pairs.parquet" --output "$RUN/candidates" \
    --threads "${SLURM_CPUS_PER_TASK:-1}" "${share[@]}"
