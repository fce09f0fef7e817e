-- One line per kind of finding, for the summary of a build. Only what was found is listed.
with found as (
  select 'rows missing between file and bronze' as finding, 'error' as severity, countif(missing_rows != 0 or older_rows < 0 or superseded_rows < 0) as count,
    cast(null as numeric) as amount, 'read audit.aud_row_counts; reload the slice' as next_step
  from {{ ref('aud_row_counts') }}
  union all
  select 'orders or amounts differ between layers', 'error',
    countif(orders - coalesce(deleted_orders, 0) != gold_orders), cast(null as numeric), 'read audit.aud_order_totals; run dbt with --full-refresh'
  from (
    select *, max(if(layer = 'gold', orders, null)) over () as gold_orders from {{ ref('aud_order_totals') }}
  ) where layer = 'silver'
  union all
  select 'rows set aside', 'warn', countif(unit = 'row'), cast(null as numeric), 'read audit.aud_set_aside; correct the cells or the preset'
  from {{ ref('aud_set_aside') }}
  union all
  select 'files set aside', 'warn', countif(unit = 'file'), cast(null as numeric), 'read audit.aud_set_aside; each names its next step'
  from {{ ref('aud_set_aside') }}
  union all
  select 'streams without data', 'info', count(*), cast(null as numeric), 'drop an export of the stream into landing, if there is one'
  from {{ ref('aud_empty_streams') }}
  union all
  select 'columns that the contract does not know', 'info', count(*), cast(null as numeric), 'map them in a preset, or add them to the contract'
  from {{ ref('aud_schema_drift') }}
  union all
  select 'orders without an exchange rate', 'warn', coalesce(sum(orders), 0), sum(amount), 'deliver the rates; the amounts join the revenue by themselves'
  from {{ ref('aud_fx_missing') }}
  union all
  select 'repeat flag against order history', 'warn', count(*), sum(amount_reporting), 'report is_repeat (derived); ask the CRM how it flags'
  from {{ ref('aud_repeat_flag') }}
  union all
  select 'e-mail addresses shared by contacts', 'info', count(*), cast(null as numeric), 'merge the contacts in the CRM, if they are one person'
  from {{ ref('aud_shared_emails') }}
  union all
  select 'orders older than their contact', 'info', count(*), sum(amount_reporting), 'check how the CRM creates contacts of guest orders'
  from {{ ref('aud_orders_before_contact') }}
  union all
  select 'orders whose campaign belongs to another channel', 'warn', count(*), sum(amount_reporting), "decide whose channel counts; revenue uses the order's own"
  from {{ ref('aud_channel_conflicts') }}
  union all
  select 'orders without an amount', 'warn', count(*), cast(null as numeric), "deliver the orders' lines with prices, or map an amount in the preset"
  from {{ ref('fact_orders') }} where amount is null
  union all
  select 'identical lines within an order', 'warn', coalesce(sum(copies - 1), 0), cast(null as numeric), 'read audit.aud_duplicate_lines; ask whether the shop means them'
  from {{ ref('aud_duplicate_lines') }}
  union all
  select 'orders of one of several contacts with an address', 'info', count(*), sum(amount_reporting), 'merge the contacts in the CRM, or export the contact ids with the orders'
  from {{ ref('fact_orders') }} where contact_match = 'shared_email'
  union all
  -- of each list or name the newest version; one that replaces the one before it whole
  select 'files that lost over a fifth of their records', 'warn', countif(5 * gone > changed + unchanged + gone), cast(null as numeric), 'read audit.aud_file_changes; check whether the export was whole'
  from (
    select * from {{ ref('aud_file_changes') }}
    where mode != 'upsert'
    qualify row_number() over (
      partition by stream, account_id, mode, if(mode = 'snapshot', '', file_name) order by file_at desc, slice_id desc) = 1
  )
  union all
  select concat(fact, '.', key_column, ': ', member), 'info', row_count, amount, 'read audit.aud_missing_keys'
  from {{ ref('aud_missing_keys') }}
)
select finding, severity, count, amount, next_step from found where count > 0
