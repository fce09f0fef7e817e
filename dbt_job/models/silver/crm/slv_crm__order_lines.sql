{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'order_id'],
    cluster_by=['order_id'], on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.order_items') -%}
{%- set arrived %}
  -- The order is the unit: an export that names it names all its lines, so fewer lines in a newer file leave no ghosts.
  select
    account_id, order_id,
    array_agg(struct(
      line_number as line_number, product_id as product_id, product_name as product_name, quantity as quantity,
      unit_price as unit_price, discount as discount, line_total as line_total) order by line_number) as lines,
    if(countif(line_total is null) = 0, sum(line_total), null) as lines_total,
    false as _marked_deleted, _slice_id, _file_at, min(_line) as _line,
    coalesce(max(updated_at), _file_at) as _version_at
  from (
    select *
    from (
      select
        _account_id as account_id, order_id, product_id, product_name, quantity, unit_price, discount, updated_at,
        -- One line without a number, and the file's order numbers them all: a mixture could collide.
        if(count(*) over (partition by _slice_id, order_id) > count(line_number) over (partition by _slice_id, order_id),
          row_number() over (partition by _slice_id, order_id order by _line, _row), line_number) as line_number,
        coalesce(line_total, quantity * unit_price - coalesce(discount, 0)) as line_total,
        _slice_id, _file_at, _line, _row
      from ({{ typed_rows('crm.order_items', slices) }})
      where _bad is null
    )
    where true
    qualify row_number() over (
      partition by _slice_id, order_id, line_number order by updated_at desc, _line desc, _row desc) = 1
  )
  group by account_id, order_id, _slice_id, _file_at
{%- endset %}
{{ current_rows('crm.order_items', arrived, ['order_id'], ['lines', 'lines_total'], slices) }}
