-- Rows and whole files that did not make it, each with its reason and origin.
with loaded as (
  select slice_id, stream, file_name, as_of from {{ ref('slv_slices') }}
),
failed as (
  -- of a file that failed more than once, under whatever slice, the last word
  select * from {{ source('bronze', 'failures') }}
  where true
  qualify row_number() over (
    partition by source, stream, account_id, coalesce(file_name, slice_id) order by build desc, failed_at desc, slice_id desc) = 1
),
mended as (
  -- the same file, or the archive that it was, delivered again and loaded under another slice; what nobody could place had no stream
  select distinct f.slice_id
  from failed as f
  join loaded as l
    on (l.file_name = f.file_name or starts_with(l.file_name, concat(f.file_name, '/')))
    and (l.stream = f.stream or ends_with(f.stream, '.unrecognised'))
    and l.as_of > f.failed_at
)
select
  'row' as unit, stream, account_id, slice_id, file_name, line_number, column_name, bad_value, reason,
  'correct the cell at its source and export again, or change the preset of the file' as next_step, as_of as seen_at
from {{ ref('slv_set_aside') }}
union all
select
  'file', f.stream, f.account_id, f.slice_id, f.file_name, null, null, null, concat(f.kind, ': ', f.message), f.next_step, f.failed_at
from failed as f
left join loaded as again on again.slice_id = f.slice_id
left join mended on mended.slice_id = f.slice_id
where again.slice_id is null and mended.slice_id is null
