-- A view, so that registering a slice costs nothing here; every model reads slices through it, and so all models of a build
-- see the same ones. The greatest build is a literal, frozen when the view is built.
select
  build, run_id, slice_id, source, stream, account_id, mode, window_from, window_to, file_name,
  coalesce(file_at, as_of) as file_at, as_of,
  `rows` as row_count, coalesce(aside, 0) as aside_count, coalesce(non_rows, 0) as non_row_count,
  contract, unknown_fields
from {{ source('bronze', 'slices') }}
where build <= {{ build_to_read() }}
qualify row_number() over (partition by slice_id order by build) = 1
